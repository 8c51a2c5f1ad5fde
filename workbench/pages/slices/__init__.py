"""Slices: the figures of groups of queries, and where two losses differ most."""
