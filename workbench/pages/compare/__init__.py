"""Compare losses: two runs side by side."""
