"""Print tables of data sets and runs in the terminal."""

import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from retrieval.evaluation.metrics import DASH, HEADLINE, metric, scale_note, summarized
from retrieval.evaluation.slices import Sliced
from retrieval.evaluation.thresholds import Thresholds
from retrieval.progress import duration
from retrieval.report.published import published_line
from retrieval.report.sections import titles_of_protocols
from retrieval.report.slices import family_line, slice_head, slice_rows, slices_headline
from retrieval.report.thresholds import (
    calibration_line,
    open_set_line,
    open_set_table,
    pairs_line,
    points_table,
    transfer_table,
)
from retrieval.report.tuning import (
    SEARCH_HEAD,
    budget_line,
    conclusions,
    effects_family,
    folds_line,
    outcome_head,
    outcome_rows,
    search_rows,
    tuned_losses,
)
from retrieval.runs.columns import columns_to_slice
from retrieval.runs.live import Training
from retrieval.runs.records import ProtocolResult
from retrieval.runs.run import Run
from retrieval.runs.store import open_run
from retrieval.runs.tuning import Tuning


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
        the protocols in the order of the report, best Recall@1 first in each.
    """
    runs = [open_run(path) for path in paths]
    order = list(titles_of_protocols(runs).values())

    def place(pair: tuple[Run, ProtocolResult]) -> tuple[int, float]:
        recall = np.nan_to_num(pair[1].metric(HEADLINE).value, nan=-1)
        return order.index(pair[1].title), -float(recall)

    results = [(run, result) for run in runs for result in run.results.values()]
    results.sort(key=place)
    rows = []
    for run, result in results:
        names = [name for name in summarized() if name in result.metrics]
        rows.append(
            {
                "run": f"{run.dataset}/{run.name}",
                "protocol": result.title,
                **{
                    metric(name).title: metric(name).format(result.metric(name).value)
                    for name in names
                },
                "queries": result.protocol.n_queries,
            }
        )
    return pd.DataFrame(rows)


def print_runs(paths: Iterable[Path]) -> None:
    """Print the metrics of runs, one table per protocol, best Recall@1 first.

    The published results of their recipes follow, with the reasons why they may differ.
    """
    paths = list(paths)
    table = runs_table(paths)
    for protocol, part in table.groupby("protocol", sort=False):
        print(f"\n{protocol} ({scale_note(summarized())})")
        print_table(part.drop(columns="protocol").dropna(axis=1, how="all").fillna(DASH))
    lines = dict.fromkeys(published_line(open_run(path)) for path in paths)
    if any(lines):
        print("", *filter(None, lines), sep="\n")


def print_thresholds(title: str, rates: Thresholds) -> None:
    """Print the error rates of thresholds under one protocol.

    Args:
        title: Title of the protocol.
        rates: The rates.
    """
    print(f"\n{title}: {pairs_line(rates)}\n")
    print_table(points_table(rates))
    tested = transfer_table(rates)
    if len(tested):
        print("\nThreshold chosen on one half of the classes, tested on the other:\n")
        print_table(tested)
    if line := calibration_line(rates):
        print(f"\n{line}")
    opened = open_set_table(rates)
    if len(opened):
        queries = f"{rates.n_mated:,} queries with a positive, {rates.n_unmated:,} without"
        print(f"\nOpen set, is it here at all ({queries}):\n")
        print_table(opened)
        if line := open_set_line(rates):
            print(f"\n{line}")


def print_columns(run: Run, protocol: str | None) -> None:
    """Print the columns that the queries of a run can be sliced by, and why others cannot.

    Args:
        run: The run.
        protocol: Name of the protocol; None for the primary one.
    """
    found, refused = columns_to_slice(run, protocol)
    print_table(pd.DataFrame({"column": list(found), "slices": list(found.values())}))
    print()
    for reason in refused.values():
        print(f"Not listed: {reason}.")


def print_slices(sliced: Sliced, title: str) -> None:
    """Print the figures of slices, and what they say.

    Args:
        sliced: The slices.
        title: Title of the protocol.
    """
    head, table = slice_head(sliced), sliced.by_difference() if sliced.is_pair else sliced.table
    print(
        f"\n{title}: {metric(sliced.metric).title} of {sliced.n_queries:,} queries of "
        f"{sliced.n_classes:,} classes, by {sliced.column} ({sliced.how})\n"
    )
    cells = pd.DataFrame(slice_rows(sliced, table), columns=head)
    with pd.option_context("display.width", None, "display.max_columns", None):
        print(cells.to_string(index=False))
    print(f"\n{slices_headline(sliced)}.")
    line = family_line(sliced)
    if sliced.n_gaps + sliced.n_differences:
        print(f"95% intervals: of the figures each alone; {line}.")


def print_trainings(found: Sequence[Training], root: Path) -> None:
    """Print the trainings that are not finished, their errors, and what continues them.

    Args:
        found: The trainings.
        root: The folder of runs that they are in.
    """
    if not found:
        print(f"nothing is being trained in {root}")
        return
    print(pd.DataFrame([_training_row(each) for each in found]).to_string(index=False))
    for each in found:
        if each.error:
            print(f"{each.path}: {each.error}")
    for command in dict.fromkeys(each.command for each in found if each.command):
        print(f"to go on: {command}")


def _training_row(training: Training) -> dict[str, str]:
    said, now = training.live, time.time()
    row = dict.fromkeys(
        ("run", "state", "at", "step", "loss", "images/s", "left", "checkpoint", "device"), DASH
    )
    row |= {"run": f"{training.dataset}/{training.name}", "state": training.state}
    if said is None:
        return row
    row |= {"at": said.stage_words(), "step": f"{said.step:,} of {said.steps:,}"}
    row["device"] = said.device or DASH
    if said.loss is not None:
        row["loss"] = f"{said.loss:.4g}"
    if said.checkpoint is not None:
        ago = duration(max(0.0, now - said.checkpoint.time))
        row["checkpoint"] = f"step {said.checkpoint.step:,}, {ago} ago"
    if training.is_alive and said.seconds_left is not None:
        row["left"] = duration(said.seconds_left)
    if training.is_alive and said.images_per_second is not None:
        row["images/s"] = f"{said.images_per_second:,.0f}"
    return row


def print_tuning(tuning: Tuning, runs: Path) -> None:
    """Print what a tuning searched, and what the chosen settings come to on the test split.

    Args:
        tuning: The finished record.
        runs: Folder of runs.
    """
    names = {name for kinds in tuning.runs.values() for each in kinds.values() for name in each}
    made = {name: open_run(runs / tuning.dataset / name) for name in sorted(names)}
    print(f"\nThe search: {budget_line(tuning)}; {folds_line(tuning)}.\n")
    print_table(pd.DataFrame(search_rows(tuning), columns=list(SEARCH_HEAD)))
    for protocol, title in next(iter(made.values())).protocol_titles.items():
        tuned = tuned_losses(tuning, made, protocol)
        print(f"\nThe test, {title} (differences {effects_family(tuned)}):\n")
        print_table(pd.DataFrame(outcome_rows(tuned), columns=outcome_head(tuned.metric)))
        for line in conclusions(tuned):
            print(line)
