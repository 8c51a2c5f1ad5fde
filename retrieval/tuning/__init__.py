"""Fair tuning: the same search budget for every loss, on folds of the training classes."""
