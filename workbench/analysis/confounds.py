"""What runs of several losses differ in besides the loss: then it alone cannot explain a lead."""

from retrieval.runs.run import Run
from retrieval.settings.identity import differing
from retrieval.settings.schema import TrainSettings, about
from workbench.analysis.naming import UNTRAINED, loss_of


def other_settings(runs: list[Run], others: list[Run]) -> list[str]:
    """Name the settings in which runs differ from others, beside those that belong to the loss.

    Args:
        runs: Of one loss.
        others: Of other losses; untrained networks do not count, nor do imported runs.

    Returns:
        Names as in ``config.yaml``, in its order; empty if nothing but the loss differs.
    """
    mine, theirs = (
        [run.settings for run in side if run.settings and loss_of(run) != UNTRAINED]
        for side in (runs, others)
    )
    found = {name for a in mine for b in theirs for name in differing(a, b)}
    return [
        name
        for name in TrainSettings.model_fields
        if name in found and not about(name).of_the_loss and about(name).affects != "seed"
    ]


def confounds_line(runs: dict[str, list[Run]]) -> str:
    """Say in one line in what, besides the loss, the best loss's runs differ from the others'.

    Args:
        runs: Title of a loss -> its runs, the best loss first.

    Returns:
        The line; empty if they differ in nothing but the loss.
    """
    best, *others = runs
    found = {name: other_settings(runs[best], runs[name]) for name in others}
    apart = [name for name in others if found[name]]
    if not apart:
        return ""
    names = [name for name in TrainSettings.model_fields if any(name in found[n] for n in apart)]
    trained = [name for name in others if any(loss_of(run) != UNTRAINED for run in runs[name])]
    whom = "the others" if len(apart) == len(trained) > 1 else ", ".join(apart)
    return f"{best} differs from {whom} in more than the loss: {', '.join(names)}."
