"""What the tests of tuning share: a small tuning, and its journal as text."""

import math

from retrieval.runs.tuning import COMPLETE, STOPPED, TrialResult, read_tuning, tuning_folder
from retrieval.tuning.tune import tune

LOSSES = ("npairs_loss", "proxy_anchor")
BUDGET = {"trials": 3, "folds": 2, "seeds": 2, "at_once": 2}


def settings_of_trials(shapes, **changes):
    """Return settings of trainings that take a moment, on the colors of `shapes`."""
    return {
        "dataset": "folder", "data": str(shapes), "backbone": "conv4", "weights": "none",
        "image_size": 16, "embedding_size": 8, "classes_per_batch": 2, "samples_per_class": 2,
        "steps": 4, "freeze_backbone": True,
    } | changes  # fmt: skip


def tuned(shapes, runs, *, losses=LOSSES, **changes):
    """Tune two losses."""
    return tune(
        settings_of_trials(shapes), losses=losses, runs=runs, progress=False,
        **{**BUDGET, **changes},
    )  # fmt: skip


def record(runs, name="tuning"):
    """Read the record of a tuning."""
    return read_tuning(tuning_folder(runs, "folder", name))


def outcomes(tuning):
    """Return everything about the trials but the seconds."""
    return {
        loss: [(t.number, t.point, t.result.state, t.result.values, t.result.steps) for t in trials]
        for loss, trials in tuning.trials.items()
    }


def made_up(*, changes, least, **_):
    """Return the result of a trial that is not trained: better at a learning rate of 1e-3."""
    height = 1 - abs(math.log10(changes["learning_rate"]) + 3) / 4
    checks = [height - 0.1, height, height - 0.05, height + 0.05]
    for place, bound in enumerate(least[:-1]):
        if bound is not None and checks[place] < bound:
            checks = checks[: place + 1]
            break
    values = tuple(tuple(checks[start : start + 2]) for start in range(0, len(checks), 2))
    return TrialResult(COMPLETE if len(checks) == 4 else STOPPED, values, len(checks), 0.5)
