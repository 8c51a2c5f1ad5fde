"""``retrieval demo``: six losses on the embedded data set, compared, then the app."""

from pathlib import Path

from retrieval.cli import browser_app
from retrieval.experiment.session import run_session

SETTINGS = {
    "dataset": "typefaces",
    "dataset_options": {"subset": "letters"},
    "backbone": "conv4",
    "weights": "none",
    "learning_rate": 1e-3,
    "loss": "all",
}


def run_demo(runs: Path, *, steps: int, open_app: bool = True) -> None:
    """Train, compare and show; runs of equal settings that exist already are kept.

    Args:
        runs: Folder of runs.
        steps: Training steps of each loss.
        open_app: Start Streamlit at the end (it keeps running until Ctrl-C).
    """
    print(
        "Task: find the same character in other typefaces. Trained on Latin letters, tested on "
        "Greek and Cyrillic ones it has never seen."
    )
    run_session(
        SETTINGS | {"steps": steps, "eval_every": max(1, steps // 4), "eval_split": "test"},
        runs=runs,
    )
    if open_app:
        print("Opening the app; Ctrl-C ends it, `retrieval app` opens it again.")
        browser_app.open_app(runs)
