"""Find what draws a report's page: the workbench does, and nothing here may import it."""

from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from pathlib import Path

from retrieval.errors import UserError
from retrieval.report import Section

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
