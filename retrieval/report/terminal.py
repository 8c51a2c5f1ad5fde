"""Plain-text tables for the terminal."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from retrieval.evaluation.metrics import metric, scale_note, summarized
from retrieval.report.published import published_line
from retrieval.runs.store import open_run


def print_table(frame: pd.DataFrame) -> None:
    """Print a DataFrame without its index, columns aligned."""
    with pd.option_context("display.width", 200, "display.max_colwidth", 60):
        print(frame.to_string(index=False))


def runs_table(paths: Iterable[Path]) -> pd.DataFrame:
    """Return one row per run and protocol: the main metrics and the number of queries.

    Args:
        paths: Run folders.

    Returns:
        Columns ``run``, ``protocol``, the titles of :func:`summarized` (texts) and ``queries``;
        best Recall@1 first.
    """
    results = [(run, entry) for run in map(open_run, paths) for entry in run.metrics["results"]]
    results.sort(key=lambda pair: -_value(pair[1], "recall@1"))
    rows = []
    for run, entry in results:
        names = [name for name in summarized() if name in entry["metrics"]]
        rows.append(
            {
                "run": f"{run.dataset}/{run.name}",
                "protocol": entry["protocol"]["title"],
                **{metric(name).title: metric(name).format(_value(entry, name)) for name in names},
                "queries": entry["n_queries"],
            }
        )
    return pd.DataFrame(rows)


def _value(entry: dict, name: str) -> float:
    """Return a metric's value in a result of ``metrics.json``, NaN where it is null."""
    value = entry["metrics"][name]["value"]
    return float("nan") if value is None else value


def print_runs(paths: Iterable[Path]) -> None:
    """Print the metrics of some runs, one table per protocol, best Recall@1 first.

    Below them, what was published for a run's recipe, and why the two may differ.
    """
    paths = list(paths)
    table = runs_table(paths)
    for protocol, part in table.groupby("protocol"):
        print(f"\n{protocol} ({scale_note(summarized())})")
        print_table(part.drop(columns="protocol").dropna(axis=1, how="all"))
    lines = dict.fromkeys(published_line(open_run(path)) for path in paths)
    if any(lines):
        print("", *filter(None, lines), sep="\n")
