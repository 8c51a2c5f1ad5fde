"""Exact nearest neighbors, tile by tile, with the rank of every positive."""
