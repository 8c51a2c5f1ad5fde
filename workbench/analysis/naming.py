"""Name classes, and runs by their loss, their seed and the settings that distinguish them."""

from collections.abc import Sequence
from pathlib import Path

from retrieval.runs.run import Run
from retrieval.settings.identity import what_matters
from retrieval.settings.schema import UNTRAINED, default_of

UNTRAINED_TITLE = "untrained"


def class_names(run: Run) -> dict[int, str]:
    """Return the class names of a run: label -> name."""
    unique = run.items.drop_duplicates("label")
    return dict(zip(unique["label"].astype(int), unique["label_name"].astype(str), strict=True))


def loss_of(run: Run) -> str:
    """Return the title of a run's loss.

    Args:
        run: The run to name.

    Returns:
        The loss; ``untrained`` for the untrained baseline; the run's name for imported embeddings.
    """
    if run.settings is None:
        return run.name
    return UNTRAINED_TITLE if is_untrained(run) else run.settings.loss


def is_untrained(run: Run) -> bool:
    """Return whether a run is the untrained baseline."""
    return run.settings is not None and run.settings.loss == UNTRAINED


def seed_of(run: Run) -> int | None:
    """Return the seed that a run was trained with; None for imported embeddings."""
    return None if run.settings is None else run.settings.seed


def kind_of(runs: Sequence[Run]) -> str:
    """Return what runs are called together.

    ``loss``, ``import``, ``zero-shot run`` of texts that search images, or ``run`` if they differ.

    Args:
        runs: At least one run.
    """
    kinds = {
        "loss" if run.settings else "zero-shot run" if run.texts_of else "import" for run in runs
    }
    return kinds.pop() if len(kinds) == 1 else "run"


def full_name(run: Run) -> str:
    """Return a run's name and, unless the name begins with it, its loss."""
    loss = loss_of(run)
    return run.name if run.name.startswith(loss) else f"{run.name} · {loss}"


def group_titles(runs: list[Run]) -> dict[str, str]:
    """Name every run by its loss and the settings that distinguish it from runs of the same loss.

    Args:
        runs: Runs of one data set.

    Returns:
        Run name -> title. Repetitions of an experiment with other seeds share a title.
    """
    settings = {run.name: what_matters(run.settings) for run in runs if run.settings}
    titles: dict[str, str] = {}
    for run in runs:
        if run.settings is None:
            titles[run.name] = run.name
            continue
        mine = settings[run.name]
        same_loss = [other for other in settings.values() if other["loss"] == mine["loss"]]
        distinguishing = [
            name
            for name, value in mine.items()
            if value is not None
            and any(other.get(name, default_of(name)) != value for other in same_loss)
        ]
        extra = ", ".join(
            f"{name.replace('_', ' ')} {_short(mine[name], [s.get(name) for s in same_loss])}"
            for name in distinguishing
        )
        titles[run.name] = loss_of(run) + (f" ({extra})" if extra else "")
    return titles


def _short(value: object, others: list) -> str:
    """Abbreviate the value of a setting.

    Args:
        value: The value. Of a mapping, the entries that differ are named; of a path, its last part
            if that suffices.
        others: The values to distinguish it from.
    """
    if isinstance(value, dict):
        columns = {k: [o.get(k) if isinstance(o, dict) else None for o in others] for k in value}
        differing = [key for key in value if len(set(map(str, columns[key]))) > 1]
        parts = [f"{key}={_short(value[key], columns[key])}" for key in differing]
        return " ".join(parts) or "default"
    ends = {str(other): _end(other) for other in (*others, value)}
    return ends[str(value)] if len(set(ends.values())) == len(ends) else str(value)


def _end(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return Path(value).name or value if isinstance(value, str) else str(value)
