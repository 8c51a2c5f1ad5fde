"""The file ``history.csv``: one row per training step, none lost and none repeated by a resume.

Metrics are written with all their digits, because a resumed run must compare them with later ones
exactly as an uninterrupted run would. Columns that are only plotted have seven digits.
"""

import math
import shlex
from pathlib import Path

import pandas as pd

from retrieval.errors import UserError
from retrieval.files import write_text
from retrieval.runs.places import final_path

PLOTTED = ("loss", "learning_rate", "spread")
OF_A_STEP = ("step", *PLOTTED)  # the columns of every row; all others are of an evaluation


class History:
    """The rows of ``history.csv``: kept in memory, written to disk at every checkpoint.

    Args:
        path: The CSV file. If it exists, its rows up to ``steps_done`` are read.
        steps_done: Number of steps already taken; later rows belong to steps that will be taken
            again. Defaults to 0.

    Attributes:
        path: The CSV file.
        rows: One dict per step, with ``step``, ``loss``, ``learning_rate``, ``spread`` and, if the
            network was evaluated after the step, the metrics.

    Raises:
        UserError: The file is damaged, or ends before ``steps_done``.
    """

    def __init__(self, path: Path, steps_done: int = 0) -> None:
        self.path = path
        self.rows: list[dict] = []
        if steps_done and path.exists():
            # The default parser of pandas is fast and may miss a number's last digit.
            try:
                old = pd.read_csv(path, float_precision="round_trip")
                self.rows = old[old["step"] <= steps_done].to_dict("records")
                last = max(row["step"] for row in self.rows)
            except (ValueError, KeyError, TypeError) as error:
                raise self._damaged(" ".join(str(error).split())[:150]) from error
            if last != steps_done:
                raise self._damaged(f"it ends at step {last}, the checkpoint is of {steps_done}")

    def _damaged(self, words: str) -> UserError:
        run = final_path(self.path.parent)
        return UserError(
            f"{self.path}: damaged ({words}): start the training from its first step with "
            f"`retrieval train --resume {shlex.quote(str(run))} --checkpoint 0`"
        )

    def append(self, row: dict) -> None:
        """Add the row of a step."""
        self.rows.append(row)

    def annotate(self, values: dict[str, float]) -> None:
        """Add metrics to the row of the last step."""
        self.rows[-1].update(values)

    def flush(self) -> None:
        """Write all rows, atomically."""
        frame = pd.DataFrame(self.rows)
        for name in frame.columns.intersection(PLOTTED):
            frame[name] = frame[name].map("{:.7g}".format, na_action="ignore")
        write_text(self.path, frame.to_csv(index=False))

    def has_stopped_improving(self, metric: str, patience: int) -> bool:
        """Return whether a metric has not improved in the last evaluations.

        Args:
            metric: Name of the metric; higher is better.
            patience: Number of evaluations without improvement that are too many. 0 is endless
                patience.
        """
        recorded = [row[metric] for row in self.rows if metric in row]
        scores = [score for score in recorded if not math.isnan(score)]
        if not patience or not scores:
            return False
        return len(scores) - 1 - scores.index(max(scores)) >= patience
