"""Plotly figures: arrays and DataFrames in, figure out; the same in pages and notebooks."""

from workbench.figures.class_bars import class_differences
from workbench.figures.coloring import Coloring
from workbench.figures.confusion import confusion_map
from workbench.figures.curves import recall_curves, training_curves
from workbench.figures.differences import difference_matrix
from workbench.figures.embedding import drawn_rows, embedding_map
from workbench.figures.evolution import embedding_evolution
from workbench.figures.failures import class_sizes, rank_histogram
from workbench.figures.losses import loss_intervals, overlap_histogram, win_tie_loss

__all__ = [
    "Coloring",
    "class_differences",
    "class_sizes",
    "confusion_map",
    "difference_matrix",
    "drawn_rows",
    "embedding_evolution",
    "embedding_map",
    "loss_intervals",
    "overlap_histogram",
    "rank_histogram",
    "recall_curves",
    "training_curves",
    "win_tie_loss",
]
