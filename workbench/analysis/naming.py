"""What runs are called: by their loss, their seed and the settings that set them apart."""

from pathlib import Path

from retrieval.runs.run import Run
from retrieval.settings.schema import TrainSettings

UNTRAINED = "untrained"


# Settings that do not make one experiment different from another.
NO_DIFFERENCE = (
    "seed", "data", "dataset", "recipe", "scaled", "cache_images_gb", "tensorboard", "distribute",
    "check_memory", "keep_embeddings",
)  # fmt: skip


def loss_of(run: Run) -> str:
    """Return the run's loss, ``untrained`` for the baseline, or the name of an imported run."""
    if run.settings is None:
        return run.name
    return UNTRAINED if run.settings.loss == "none" else run.settings.loss


def seed_of(run: Run) -> int | None:
    """Return the run's seed, or None if it has none."""
    return run.provenance.seed if run.settings is None else run.settings.seed


def is_placeholder(run: Run) -> bool:
    """Tell whether a run was made on a synthetic placeholder for its data set."""
    return run.dataset_config.is_placeholder


def group_titles(runs: list[Run]) -> dict[str, str]:
    """Name every run by what distinguishes it, seed apart: its loss, and settings that differ.

    Args:
        runs: Runs of one data set.

    Returns:
        Run name -> title; runs that differ only in their seed share one.
    """
    settings = {run.name: what_matters(run) for run in runs}
    titles: dict[str, str] = {}
    for run in runs:
        mine = settings[run.name]
        if not mine.get("loss"):
            titles[run.name] = run.name
            continue
        same = [s for s in settings.values() if s.get("loss") == mine["loss"]]
        differing = [
            key
            for key in mine
            if key != "loss" and any(str(s.get(key)) != str(mine[key]) for s in same)
        ]
        extra = ", ".join(
            f"{key.replace('_', ' ')} {_short(mine[key], [s.get(key) for s in same])}"
            for key in differing
        )
        titles[run.name] = loss_of(run) + (f" ({extra})" if extra else "")
    return titles


def what_matters(run: Run) -> dict:
    """Return the settings that make a run's network what it is; those not recorded by default.

    Args:
        run: A run; one that was imported has no settings.

    Returns:
        Setting -> value, without those that are None or empty.
    """
    if run.settings is None:
        return {}
    defaults = TrainSettings().to_mapping()
    settings = run.settings.to_mapping()
    left_out = NO_DIFFERENCE
    if not (settings["patience"] or settings["use_checkpoint"] == "best"):
        left_out += ("eval_every",)  # evaluations along the way changed nothing
        settings["monitor"] = defaults["monitor"]
        if settings["eval_split"] == "test":
            settings["eval_split"] = "none"
    return {k: v for k, v in settings.items() if k not in left_out and v not in (None, {}, [])}


def _short(value: object, others: list) -> str:
    """Write a setting: of several options those that differ, of a path its last part if that do."""
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
