"""Plotly figures: arrays and DataFrames in, figure out; the same in pages and notebooks."""

from workbench.figures.curves import recall_curves, training_curves
from workbench.figures.embedding import Colouring, embedding_map
from workbench.figures.failures import confusion_map, rank_histogram
from workbench.figures.losses import class_differences, loss_intervals, win_tie_loss

__all__ = [
    "Colouring",
    "class_differences",
    "confusion_map",
    "embedding_map",
    "loss_intervals",
    "rank_histogram",
    "recall_curves",
    "training_curves",
    "win_tie_loss",
]
