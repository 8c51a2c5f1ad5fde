"""Reports of runs: tables with intervals and corrected tests, as Markdown, CSV and LaTeX."""

from retrieval.report.sections import Section, make_report
from retrieval.report.writing import write_report

__all__ = ["Section", "make_report", "write_report"]
