"""What the comparisons of a batch take in memory."""

FLOAT = 4  # bytes
# (B, B) matrices that a ranking loss and its gradient hold at a time.
PAIR_MATRICES = 8
