"""Retrieval: a query, its neighbors, and why they matched."""
