"""One colour per loss or variant of it, the same on every page; seeds of one share it."""

from retrieval.runs.run import Run
from workbench.analysis.naming import group_titles
from workbench.figures.palette import CATEGORIES, colours_of
from workbench.session.selection import Selection


def group_colours(runs: list[Run]) -> dict[str, str]:
    """Give every group of runs its colour, whatever their order.

    Args:
        runs: Every run of a data set, so that a colour does not depend on which are shown.

    Returns:
        Title (see :func:`workbench.analysis.naming.group_titles`) -> hex colour.
    """
    return colours_of(sorted(set(group_titles(runs).values())))


def run_colours(runs: list[Run]) -> dict[str, str]:
    """Return the colour of every run's group: run name -> hex colour; see above."""
    colours = group_colours(runs)
    return {name: colours[title] for name, title in group_titles(runs).items()}


def pair_colours(chosen: Selection) -> tuple[str, str]:
    """Return the colours of runs A and B; two seeds of one loss are still told apart.

    Args:
        chosen: What is being looked at; without a run B the second colour is free.
    """
    colours = run_colours(chosen.runs)
    a = colours[chosen.a.name]
    b = a if chosen.b is None else colours[chosen.b.name]
    if b != a:
        return a, b
    free = [c for c in CATEGORIES if c not in colours.values()]
    return a, (free or [c for c in CATEGORIES if c != a])[0]
