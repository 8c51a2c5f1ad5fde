"""A training curve that grows while a cell trains."""

import json
from collections.abc import Callable

import pandas as pd
import plotly.graph_objects as go
from IPython.display import DisplayHandle, display
from plotly.utils import PlotlyJSONEncoder

from workbench import figures
from workbench.figures.style import CONFIG

MIME = "application/vnd.plotly.v1+json"


class LiveCurve:
    """One figure for several runs, redrawn as their histories grow.

    Pass the :meth:`watcher` of each run to ``retrieval.train(..., watch=...)``::

        curve = nb.LiveCurve()
        train(settings, watch=curve.watcher("npairs_loss"))

    Attributes:
        column: The column of the histories that is drawn.
        histories: The histories drawn last: title -> history.
    """

    def __init__(self, column: str = "loss") -> None:
        """Draw one column of the histories.

        Args:
            column: ``loss``, or an in-training metric such as ``recall@1``. Defaults to ``loss``.
        """
        self.column = column
        self.histories: dict[str, pd.DataFrame] = {}
        self._handle: DisplayHandle | None = None

    def watcher(self, title: str) -> Callable[[pd.DataFrame], None]:
        """Return a function for ``watch`` that draws one run's history.

        Args:
            title: The run's entry in the legend.
        """

        def draw(history: pd.DataFrame) -> None:
            if self.column in history:
                self.histories[title] = history
                self._show()

        return draw

    def figure(self) -> go.Figure:
        """Return the figure as it is now."""
        return figures.training_curves(self.histories, self.column)

    def _show(self) -> None:
        # Without a picture: drawing one would cost more than the training steps in between.
        data = {MIME: self.figure().to_plotly_json() | {"config": CONFIG}}
        data["text/plain"] = f"{self.column} of {', '.join(self.histories)}"
        if self._handle is None:
            self._handle = display(_as_json(data), raw=True, display_id=True)
        else:
            self._handle.update(_as_json(data), raw=True)


def _as_json(data: dict) -> dict:
    """Turn NumPy arrays into lists, for a message in JSON."""
    return json.loads(json.dumps(data, cls=PlotlyJSONEncoder))
