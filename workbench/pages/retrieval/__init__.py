"""Retrieval: a query and its results."""
