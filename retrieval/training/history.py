"""``history.csv``: one row per training step, never a step lost or doubled.

Metrics are written with every digit: a run that goes on after a kill must compare them with the
next ones as it would have otherwise. What is only drawn has seven.
"""

from pathlib import Path

import pandas as pd

from retrieval.files import write_text

DRAWN = ("loss", "learning_rate", "spread")


class History:
    """The rows of ``history.csv``; in memory between checkpoints, on disk at each.

    Attributes:
        path: The CSV file.
        rows: One dict per step, with ``step``, ``loss``, ``learning_rate``, ``spread`` and, where
            evaluated, in-training metrics.
    """

    def __init__(self, path: Path, steps_done: int = 0) -> None:
        """Read what is on disk, dropping rows after ``steps_done`` (they will be redone)."""
        self.path = path
        self.rows: list[dict] = []
        if steps_done and path.exists():
            # Pandas' own way to read a number is fast and may miss its last digit.
            old = pd.read_csv(path, float_precision="round_trip")
            self.rows = old[old["step"] <= steps_done].to_dict("records")

    def append(self, row: dict) -> None:
        """Add the row of one step."""
        self.rows.append(row)

    def annotate(self, values: dict[str, float]) -> None:
        """Add in-training metrics to the last step's row."""
        self.rows[-1].update(values)

    def flush(self) -> None:
        """Write every row, atomically."""
        frame = pd.DataFrame(self.rows)
        for name in frame.columns.intersection(DRAWN):
            frame[name] = frame[name].map("{:.7g}".format, na_action="ignore")
        write_text(self.path, frame.to_csv(index=False))
