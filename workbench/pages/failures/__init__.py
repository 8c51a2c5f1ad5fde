"""Failures: what a run gets wrong, sorted."""
