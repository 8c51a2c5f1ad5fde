"""Find what draws a report's page: the workbench does, and nothing here may import it."""

from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from pathlib import Path

from retrieval.errors import UserError
from retrieval.files import write_text
from retrieval.report.sections import Section, make_report
from retrieval.report.text import csv_of, latex_of, markdown_of
from retrieval.runs.run import Run


def write_report(
    runs: Sequence[Run], folder: Path | str, metrics: Sequence[str] = ()
) -> list[Section]:
    """Write ``report.md``, ``report.csv`` and ``report.tex``.

    Args:
        runs: Evaluated runs.
        folder: Where to; made if it is missing.
        metrics: The columns; default: those reported on the data set.

    Returns:
        What was written; :mod:`retrieval.report.writing` finds what draws a page from it.

    Raises:
        UserError: There are no runs.
    """
    sections = make_report(runs, metrics)
    for suffix, text in (("md", markdown_of), ("csv", csv_of), ("tex", latex_of)):
        write_text(Path(folder) / f"report.{suffix}", text(sections))
    return sections


GROUP = "retrieval.reports"  # of entry points, in pyproject.toml


def page_writer() -> Callable[[Sequence[Section], Path], None]:
    """Return the function that an installed package announces as ``html`` of the group.

    Returns:
        A function of sections and of the file to write them to, as one page with figures.

    Raises:
        UserError: No installed package announces one.
    """
    found = entry_points(group=GROUP, name="html")
    if not found:
        raise UserError(
            "report.html needs the package workbench, which is not installed: "
            "run `pip install -e .` in the repository"
        )
    return next(iter(found)).load()
