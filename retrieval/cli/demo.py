"""The runs of ``retrieval demo``: six losses on the letters of many typefaces."""

from collections.abc import Callable
from pathlib import Path

from retrieval.experiment.session import run_session

SETTINGS = {
    "dataset": "typefaces",
    "dataset_options": {"subset": "letters"},
    "backbone": "conv4",
    "weights": "none",
    "learning_rate": 1e-3,
    "loss": "all",
    "eval_split": "test",
}


def train_demo(
    runs: Path, *, steps: int, announce: Callable[[str], None] | None = None
) -> list[Path]:
    """Train the runs of the demo; those that exist with the same settings are kept.

    Args:
        runs: Folder that the runs are written to.
        steps: Number of training steps of each loss.
        announce: Called with each line that a user may want to read. Defaults to None, no call.

    Returns:
        Folders of the runs.
    """
    changes = SETTINGS | {"steps": steps, "eval_every": max(1, steps // 4)}
    return run_session(changes, runs=runs, announce=announce)
