"""What the notebooks share, so that their cells stay short: ``from workbench import notebook``."""

from workbench.notebook.live import LiveCurve
from workbench.notebook.opening import Opened, open_dataset, scale, start
from workbench.notebook.pictures import sample_grid
from workbench.notebook.preparing import facts, published_recipes
from workbench.notebook.summaries import compare_runs, hardest_classes, published, results, verdicts

__all__ = [
    "LiveCurve",
    "Opened",
    "compare_runs",
    "facts",
    "hardest_classes",
    "open_dataset",
    "published",
    "published_recipes",
    "results",
    "sample_grid",
    "scale",
    "start",
    "verdicts",
]
