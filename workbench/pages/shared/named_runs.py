"""Runs A and B with the letters and colors that every page shows them by."""

from dataclasses import dataclass

from retrieval.runs.run import Run
from workbench.layout.run_colors import pair_colors
from workbench.session.selection import Selection


@dataclass(frozen=True)
class NamedRun:
    """Run A or run B of the sidebar.

    Attributes:
        letter: Letter of the run in the sidebar, ``A`` or ``B``.
        run: The run under this letter.
        color: The run's color as hex code.
    """

    letter: str
    run: Run
    color: str

    @property
    def title(self) -> str:
        """The letter and the run's name."""
        return f"{self.letter}  {self.run.name}"


def named_runs(chosen: Selection) -> list[NamedRun]:
    """Return run A and, if one is chosen, run B.

    Args:
        chosen: The choices made in the sidebar.
    """
    runs = zip("AB", (chosen.a, chosen.b), pair_colors(chosen), strict=True)
    return [NamedRun(letter, run, color) for letter, run, color in runs if run is not None]
