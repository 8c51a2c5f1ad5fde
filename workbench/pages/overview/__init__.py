"""Overview: which loss won, and whether the difference is real."""
