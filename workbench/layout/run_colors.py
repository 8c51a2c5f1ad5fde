"""The color of every run: one per loss or variant of it, on every page; seeds share it."""

from retrieval.runs.run import Run
from workbench.analysis.naming import group_titles
from workbench.figures.colors import CATEGORIES, colors_of
from workbench.session.selection import Selection


def group_colors(runs: list[Run]) -> dict[str, str]:
    """Choose a color for every group of runs; it does not depend on their order.

    Args:
        runs: All runs of a data set, so that a color does not depend on which ones are shown.

    Returns:
        Title (see :func:`workbench.analysis.naming.group_titles`) -> hex color.
    """
    return colors_of(sorted(set(group_titles(runs).values())))


def run_colors(runs: list[Run]) -> dict[str, str]:
    """Return the color of each run's group, see :func:`group_colors`: run name -> hex color."""
    colors = group_colors(runs)
    return {name: colors[title] for name, title in group_titles(runs).items()}


def pair_colors(chosen: Selection) -> tuple[str, str]:
    """Return the colors of runs A and B, which differ even if both are of one group.

    Args:
        chosen: The choices made in the sidebar. Without a run B, the second color is a free one.
    """
    colors = run_colors(chosen.runs)
    a = colors[chosen.a.name]
    b = a if chosen.b is None else colors[chosen.b.name]
    if b != a:
        return a, b
    free = [c for c in CATEGORIES if c not in colors.values()]
    return a, (free or [c for c in CATEGORIES if c != a])[0]
