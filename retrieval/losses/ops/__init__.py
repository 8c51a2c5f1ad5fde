"""The operations that losses share: distances, pair masks, chunks, histograms, soft ranks."""
