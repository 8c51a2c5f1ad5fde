"""The choices of the sidebar: data set, protocol, metric, runs A and B, K. Not the item."""

import functools
from dataclasses import dataclass

from retrieval.evaluation.metrics import HEADLINE
from retrieval.report.sections import titles_of_protocols
from retrieval.runs.run import Neighbors, Run
from workbench.data.comparable import comparable_groups, protocol_difference
from workbench.data.loading import stamp
from workbench.session.state import Value


@dataclass(frozen=True)
class Selection:
    """The choices made in the sidebar.

    Attributes:
        dataset: Name of the data set.
        runs: Every readable run of the data set. Runs that can be compared with each other stand
            together, best first under the chosen protocol.
        a: Run A, which every page looks at.
        b: Run B, to compare with run A, or None.
        protocol: Name of the protocol that all numbers are measured under.
        protocol_title: Title of the protocol, for people.
        k: Number of results shown per query.
        metric: Metric that losses are ranked and compared by. Defaults to ``recall@1``.
        columns: Columns of the items that are shown below each image. Defaults to none.
    """

    dataset: str
    runs: list[Run]
    a: Run
    b: Run | None
    protocol: str
    protocol_title: str
    k: int
    metric: str = HEADLINE
    columns: tuple[str, ...] = ()

    @property
    def neighbors(self) -> Neighbors:
        """Neighbors of run A under the chosen protocol."""
        return self.a.neighbors(self.protocol)

    @property
    def pair(self) -> tuple[Run, Run]:
        """Runs A and B.

        Raises:
            RuntimeError: No run B is chosen; pages ask for one first.
        """
        if self.b is None:
            raise RuntimeError("no run B is chosen")
        return self.a, self.b

    @functools.cached_property
    def comparable(self) -> list[Run]:
        """Runs whose results are comparable with run A's, best first."""
        return [run for run in self.scored if not self._apart(run)]

    @functools.cached_property
    def scored(self) -> list[Run]:
        """Runs evaluated under a protocol of the chosen name, best first."""
        return [run for run in self.runs if self.protocol in run.results]

    @functools.cached_property
    def others(self) -> list[tuple[str, list[Run]]]:
        """Scored runs that are not comparable with run A, grouped by what sets them apart.

        The runs of one group are comparable with each other.
        """
        apart = [run for run in self.scored if self._apart(run)]
        return [(self._apart(group[0]), group) for group in comparable_groups(apart, self.protocol)]

    @functools.cached_property
    def stamps(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """Path of every run and when its files were written: changes when a run is written anew."""
        return tuple((str(run.path), stamp(run.path)) for run in self.runs)

    def _apart(self, run: Run) -> str:
        return protocol_difference(run, self.a, self.protocol)


_SELECTION = Value[Selection | None]("_selection", None)


def first_protocol(runs: list[Run]) -> tuple[str, dict[str, str]]:
    """Return the protocol to show first, and the title of every protocol of the runs by name."""
    titles = titles_of_protocols(runs)
    return next(iter(titles)), titles


def previous_selection() -> Selection | None:
    """Return what was chosen in the previous run of the script; None in the first."""
    return _SELECTION.get()


def selection() -> Selection:
    """Return the selection that the sidebar made in this run of the script.

    Raises:
        RuntimeError: The sidebar was not drawn before.
    """
    chosen = _SELECTION.get()
    if chosen is None:
        raise RuntimeError("no selection: draw the sidebar before the page")
    return chosen


def select(chosen: Selection) -> None:
    """Make a selection known to the page that is drawn next.

    Args:
        chosen: The sidebar's choices.
    """
    _SELECTION.set(chosen)
