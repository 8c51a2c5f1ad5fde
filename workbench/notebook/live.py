"""Training curves that move while a cell trains."""

import json

import pandas as pd
from IPython.display import display
from plotly.utils import PlotlyJSONEncoder

from workbench import figures
from workbench.figures.style import CONFIG

MIME = "application/vnd.plotly.v1+json"


class LiveCurve:
    """One figure for several runs, redrawn as their histories grow.

    Pass :meth:`watcher` of each run to ``retrieval.train(..., watch=...)``::

        curve = LiveCurve()
        train(settings, watch=curve.watcher("npairs_loss"))

    Attributes:
        histories: What was drawn last: title -> history.
    """

    def __init__(self, column: str = "loss") -> None:
        """Draw ``column`` of the histories: ``loss``, or an in-training metric."""
        self.column = column
        self.histories: dict[str, pd.DataFrame] = {}
        self._handle = None

    def watcher(self, title: str):
        """Return a function for ``watch`` that draws one run's history under a title."""

        def draw(history: pd.DataFrame) -> None:
            if self.column in history:
                self.histories[title] = history
                self._show()

        return draw

    def figure(self):
        """Return the figure as it stands now."""
        return figures.training_curves(self.histories, self.column)

    def _show(self) -> None:
        # Without a picture: drawing one would cost more than the training steps in between.
        data = {MIME: self.figure().to_plotly_json() | {"config": CONFIG}}
        data["text/plain"] = f"{self.column} of {', '.join(self.histories)}"
        if self._handle is None:
            self._handle = display(_plain(data), raw=True, display_id=True)
        else:
            self._handle.update(_plain(data), raw=True)


def _plain(data: dict) -> dict:
    """Turn NumPy arrays into lists, for a message in JSON."""
    return json.loads(json.dumps(data, cls=PlotlyJSONEncoder))
