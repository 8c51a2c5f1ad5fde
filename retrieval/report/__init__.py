"""Reports that compare runs: metrics with intervals and paired tests, in several formats."""

from retrieval.report.sections import Section, make_report
from retrieval.report.writing import write_report

__all__ = ["Section", "make_report", "write_report"]
