"""Write the files of a report, and find the installed function that draws its HTML page.

The page is drawn by the package ``workbench``, which ``retrieval`` must not import.
"""

from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from pathlib import Path

from retrieval.errors import UserError
from retrieval.files import write_text
from retrieval.report.sections import NO_MORE, Section, Tests, make_report
from retrieval.report.text import csv_of, latex_of, markdown_of
from retrieval.runs.run import Run


def write_report(
    runs: Sequence[Run],
    folder: Path | str,
    metrics: Sequence[str] = (),
    tests: Tests = NO_MORE,
) -> list[Section]:
    """Write ``report.md``, ``report.csv`` and ``report.tex``.

    Args:
        runs: The evaluated runs to compare.
        folder: Folder to write to; made if it is missing.
        metrics: Names of the metrics to tabulate. Defaults to those reported on each data set.
        tests: See :func:`retrieval.report.sections.make_report`.

    Returns:
        The sections of the report, from which :func:`page_writer` draws a page.

    Raises:
        UserError: There are no runs, no run has one of the metrics, or a test is invalid.
    """
    sections = make_report(runs, metrics, tests)
    for suffix, text in (("md", markdown_of), ("csv", csv_of), ("tex", latex_of)):
        write_text(Path(folder) / f"report.{suffix}", text(sections))
    return sections


PageWriter = Callable[[Sequence[Section], Path], None]
GROUP = "retrieval.reports"  # group of entry points, see pyproject.toml


def page_writer(group: str = GROUP) -> PageWriter:
    """Return the function that an installed package registers as entry point ``html``.

    Args:
        group: Group of entry points. Defaults to ``retrieval.reports``.

    Returns:
        A function that writes sections to a file, as one page with figures.

    Raises:
        UserError: No installed package registers one.
    """
    found = entry_points(group=group, name="html")
    if not found:
        raise UserError(
            "report.html needs the package workbench, which is not installed: "
            "run `pip install -e .` in the repository"
        )
    writer: PageWriter = next(iter(found)).load()
    return writer
