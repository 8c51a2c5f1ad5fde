"""Thresholds: what a similarity lets through and what it stops."""
