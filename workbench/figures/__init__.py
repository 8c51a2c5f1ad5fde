"""Plotly figures for pages and notebooks: arrays and DataFrames in, a figure out."""

from workbench.figures.classes import class_differences, class_sizes
from workbench.figures.colors import Coloring
from workbench.figures.comparison import difference_matrix, overlap_histogram, win_tie_loss
from workbench.figures.compression import bytes_chart
from workbench.figures.confusion import confusion_map
from workbench.figures.embedding import drawn_rows, embedding_map
from workbench.figures.evolution import embedding_evolution
from workbench.figures.intervals import loss_intervals
from workbench.figures.ranks import rank_histogram
from workbench.figures.recall import recall_curves
from workbench.figures.slices import slice_forest
from workbench.figures.training import loss_so_far, metric_so_far, training_curves
from workbench.figures.tuning import best_so_far, validation_and_test

__all__ = [
    "Coloring",
    "best_so_far",
    "bytes_chart",
    "class_differences",
    "class_sizes",
    "confusion_map",
    "difference_matrix",
    "drawn_rows",
    "embedding_evolution",
    "embedding_map",
    "loss_intervals",
    "loss_so_far",
    "metric_so_far",
    "overlap_histogram",
    "rank_histogram",
    "recall_curves",
    "slice_forest",
    "training_curves",
    "validation_and_test",
    "win_tie_loss",
]
