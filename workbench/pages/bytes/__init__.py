"""Bytes per vector: smaller forms of the embedding of every loss, and what they cost."""
