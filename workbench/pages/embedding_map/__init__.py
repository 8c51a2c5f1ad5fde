"""Embedding map: all items at once."""
