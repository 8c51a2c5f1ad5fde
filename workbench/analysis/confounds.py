"""Find settings other than the loss in which runs differ: the loss alone cannot explain a lead."""

from retrieval.runs.run import Run
from retrieval.settings.identity import differing
from retrieval.settings.schema import TrainSettings, about
from workbench.analysis.naming import is_untrained


def other_settings(runs: list[Run], others: list[Run]) -> list[str]:
    """Name the settings in which runs differ from others, except those that belong to the loss.

    Untrained networks and imported embeddings are ignored.

    Args:
        runs: Runs of one loss.
        others: Runs of other losses.

    Returns:
        Names of settings, in the order of the fields; empty if only the loss differs.
    """
    mine, theirs = (
        [run.settings for run in side if run.settings and not is_untrained(run)]
        for side in (runs, others)
    )
    found = {name for a in mine for b in theirs for name in differing(a, b)}
    return [
        name
        for name in TrainSettings.model_fields
        if name in found and not about(name).of_the_loss and about(name).affects != "seed"
    ]


def confounds_line(runs: dict[str, list[Run]]) -> str:
    """Write a line about the settings, except the loss, in which the best loss differs from others.

    Args:
        runs: Title of a loss -> its runs, the best loss first.

    Returns:
        One line; empty if only the loss differs.
    """
    best, *others = runs
    found = {name: other_settings(runs[best], runs[name]) for name in others}
    apart = [name for name in others if found[name]]
    if not apart:
        return ""
    names = [name for name in TrainSettings.model_fields if any(name in found[n] for n in apart)]
    trained = [name for name in others if not all(map(is_untrained, runs[name]))]
    whom = "the others" if len(apart) == len(trained) > 1 else ", ".join(apart)
    return f"{best} differs from {whom} in more than the loss: {', '.join(names)}."


def dimensions_line(runs: dict[str, list[Run]]) -> str:
    """Write a line about embeddings of different lengths: a longer one can hold more.

    Args:
        runs: Title of a loss or an import -> its runs.

    Returns:
        One line; empty if all embeddings have the same length.
    """
    named: dict[int, list[str]] = {}
    for title, members in runs.items():
        embedded = [run for run in members if run.has_embeddings]
        for size in dict.fromkeys(run.embeddings.shape[1] for run in embedded):
            named.setdefault(size, []).append(title)
    if len(named) < 2:
        return ""
    usual = max(named, key=lambda size: len(named[size]))
    apart = "; ".join(
        f"{', '.join(titles)}: {size:,}" for size, titles in named.items() if size != usual
    )
    whom = "the others" if len(named[usual]) > 1 else named[usual][0]
    return f"The embeddings differ in dimensions: {apart}; {whom}: {usual:,}."
