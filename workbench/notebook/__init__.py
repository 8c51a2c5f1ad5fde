"""Functions for notebooks: ``import workbench.notebook as nb``.

Each function takes data sets, runs or settings and returns what a cell shows: a table, a figure or
a gallery of images. The analyses and figures themselves are the app's.
"""

from workbench.notebook.beforehand import batch_grid, loss_formula, network_summary, outlook
from workbench.notebook.comparison import (
    class_differences,
    compare_queries,
    only_right,
    outcome_map,
    overlap_histogram,
    win_tie_loss,
)
from workbench.notebook.datasets import (
    OpenedDataset,
    class_sizes,
    open_dataset,
    open_folder,
    sample_grid,
    split_sizes,
)
from workbench.notebook.environment import run_name, scale, start
from workbench.notebook.failures import (
    confident_failures,
    confusion_map,
    gallery,
    hardest_classes,
    hubs,
    near_duplicates,
    near_misses,
    random_failures,
    rank_histogram,
    suspected_label_errors,
    worst_ranks,
)
from workbench.notebook.maps import embedding_evolution, embedding_map
from workbench.notebook.matches import MatchExplainer
from workbench.notebook.recipes import published_recipes, published_results
from workbench.notebook.results import (
    against_baseline,
    best_run,
    bytes_chart,
    bytes_table,
    compare_runs,
    comparison_summary,
    difference_matrix,
    paired_tests,
    recall_at,
    recall_curves,
    resolution,
    results_table,
    seeds_table,
    slice_forest,
    slices,
)
from workbench.notebook.training_curve import LiveCurve
from workbench.notebook.tuning import (
    search_curves,
    search_table,
    tuned_table,
    validation_and_test,
)

__all__ = [
    "LiveCurve",
    "MatchExplainer",
    "OpenedDataset",
    "against_baseline",
    "batch_grid",
    "best_run",
    "bytes_chart",
    "bytes_table",
    "class_differences",
    "class_sizes",
    "compare_queries",
    "compare_runs",
    "comparison_summary",
    "confident_failures",
    "confusion_map",
    "difference_matrix",
    "embedding_evolution",
    "embedding_map",
    "gallery",
    "hardest_classes",
    "hubs",
    "loss_formula",
    "near_duplicates",
    "near_misses",
    "network_summary",
    "only_right",
    "open_dataset",
    "open_folder",
    "outcome_map",
    "outlook",
    "overlap_histogram",
    "paired_tests",
    "published_recipes",
    "published_results",
    "random_failures",
    "rank_histogram",
    "recall_at",
    "recall_curves",
    "resolution",
    "results_table",
    "run_name",
    "sample_grid",
    "scale",
    "search_curves",
    "search_table",
    "seeds_table",
    "slice_forest",
    "slices",
    "split_sizes",
    "start",
    "suspected_label_errors",
    "tuned_table",
    "validation_and_test",
    "win_tie_loss",
    "worst_ranks",
]
