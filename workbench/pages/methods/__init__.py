"""Methods: protocol, definitions and provenance of every figure."""
