"""Plain-text tables for the terminal."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from retrieval.report.published import published_line
from retrieval.runs.store import open_run

SHOWN = ("recall@1", "recall@4", "map@r", "nmi")


def print_table(frame: pd.DataFrame) -> None:
    """Print a DataFrame without its index, columns aligned."""
    with pd.option_context("display.width", 200, "display.max_colwidth", 60):
        print(frame.to_string(index=False))


def runs_table(paths: Iterable[Path]) -> pd.DataFrame:
    """Return one row per (run, protocol): the usual metrics and how many queries they rest on.

    Args:
        paths: Run folders.

    Returns:
        Columns ``run``, ``protocol``, the metrics of :data:`SHOWN`, ``queries``.
    """
    rows = []
    for path in paths:
        run = open_run(path)
        for result in run.metrics["results"]:
            values = {
                m: f"{result['metrics'][m]['value']:.4f}" for m in SHOWN if m in result["metrics"]
            }
            rows.append(
                {
                    "run": f"{run.dataset}/{run.name}",
                    "protocol": result["protocol"]["title"],
                    **values,
                    "queries": result["n_queries"],
                }
            )
    return pd.DataFrame(rows)


def print_runs(paths: Iterable[Path]) -> None:
    """Print the figures of some runs, one table per protocol, best R@1 first.

    Below them, what was published for a run's recipe, and why the two may differ.
    """
    paths = list(paths)
    table = runs_table(paths)
    for protocol, part in table.groupby("protocol"):
        print(f"\n{protocol}")
        print_table(part.drop(columns="protocol").sort_values("recall@1", ascending=False))
    lines = dict.fromkeys(published_line(open_run(path)) for path in paths)
    if any(lines):
        print("", *filter(None, lines), sep="\n")
