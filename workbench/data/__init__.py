"""Cached reading of runs, pictures, projections and notes."""
