"""Operations that losses share: distances, pair masks, chunks, histograms and soft ranks."""
