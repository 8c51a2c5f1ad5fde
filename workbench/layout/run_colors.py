"""One color per loss or variant of it, the same on every page; seeds of one share it."""

from retrieval.runs.run import Run
from workbench.analysis.naming import group_titles
from workbench.figures.colors import CATEGORIES, colors_of
from workbench.session.selection import Selection


def group_colors(runs: list[Run]) -> dict[str, str]:
    """Give every group of runs its color, whatever their order.

    Args:
        runs: Every run of a data set, so that a color does not depend on which are shown.

    Returns:
        Title (see :func:`workbench.analysis.naming.group_titles`) -> hex color.
    """
    return colors_of(sorted(set(group_titles(runs).values())))


def run_colors(runs: list[Run]) -> dict[str, str]:
    """Return the color of every run's group: run name -> hex color; see above."""
    colors = group_colors(runs)
    return {name: colors[title] for name, title in group_titles(runs).items()}


def pair_colors(chosen: Selection) -> tuple[str, str]:
    """Return the colors of runs A and B; two seeds of one loss are still told apart.

    Args:
        chosen: What is being looked at; without a run B the second color is free.
    """
    colors = run_colors(chosen.runs)
    a = colors[chosen.a.name]
    b = a if chosen.b is None else colors[chosen.b.name]
    if b != a:
        return a, b
    free = [c for c in CATEGORIES if c not in colors.values()]
    return a, (free or [c for c in CATEGORIES if c != a])[0]
