"""Tables of a notebook about runs: results with intervals, published beside measured."""

import numpy as np
import pandas as pd

from retrieval.evaluation.metrics import TITLES
from retrieval.evaluation.significance import Comparison, compare
from retrieval.report.published import published_notes, published_table
from retrieval.runs.run import Run
from workbench.analysis.failures import class_table, query_table
from workbench.analysis.significance import rank_one_hits
from workbench.analysis.tables import percent

SHOWN = ("recall@1", "recall@4", "map@r", "nmi")


def results(runs: dict[str, Run], protocol: str | None = None) -> pd.DataFrame:
    """Tabulate metrics in percent, each with its 95% interval (bootstrap over classes).

    Args:
        runs: Title -> run.
        protocol: The protocol's name; default: the runs' primary one.

    Returns:
        One row per run, best R@1 first; the caption says which protocol.
    """
    found = {title: run.result(protocol) for title, run in runs.items()}
    rows = {}
    for title, result in found.items():
        rows[title] = {TITLES[m]: _with_interval(result["metrics"].get(m)) for m in SHOWN}
    order = sorted(found, key=lambda t: -found[t]["metrics"]["recall@1"]["value"])
    first = next(iter(found.values()))
    distances = sorted({result["protocol"]["distance"] for result in found.values()})
    print(
        f"{first['protocol']['title']}, {' and '.join(distances)} distance: "
        f"{first['n_queries']:,} queries of {first['n_classes']:,} classes, "
        f"{first['n_gallery']:,} gallery items; %, with 95% intervals"
    )
    return pd.DataFrame(rows).T.loc[order].rename_axis("run")


def _with_interval(metric: dict | None) -> str:
    if not metric:
        return "–"
    text = percent(metric["value"])
    if metric.get("low") is None:
        return text
    return f"{text} [{percent(metric['low'])}, {percent(metric['high'])}]"


def published(runs: dict[str, Run], protocol: str = "leave_one_out") -> pd.DataFrame:
    """Set measured beside published figures, in percent; what cannot be compared says why.

    Args:
        runs: Title -> run made by a recipe.
        protocol: What was measured under it; a dash beside figures published under another.

    Returns:
        One row per run and metric, with the recipe's note.
    """
    table = published_table(list(runs.values()), protocol)
    notes, changed = published_notes(table), table.pop("changed")
    for column in ("measured", "published"):
        table[column] = [percent(value) for value in table[column].astype(float)]
    table["settings"] = [why or "as published" for why in changed]
    table["note"] = [notes.get(recipe, "") for recipe in table["recipe"]]
    return table.set_index(["run", "metric"])


def compare_runs(runs: dict[str, Run | list[Run]], protocol: str | None = None) -> Comparison:
    """Compare Recall@1 of runs on the same queries: paired bootstrap over classes, Holm.

    Args:
        runs: Title -> run, or several that differ in their seed; all with the same items.
        protocol: The protocol's name; default: the runs' primary one.

    Returns:
        The comparison.
    """
    groups = {title: run if isinstance(run, list) else [run] for title, run in runs.items()}
    first = next(iter(groups.values()))[0]
    labels = first.items["label"].to_numpy()[first.neighbors(protocol).queries]
    hits = {
        title: np.stack([rank_one_hits(run.neighbors(protocol)) for run in group])
        for title, group in groups.items()
    }
    return compare(hits, labels)


def verdicts(comparison: Comparison) -> pd.DataFrame:
    """Say for every pair of runs which is better at rank 1, and whether that is real.

    Args:
        comparison: See :func:`compare_runs`.

    Returns:
        One row per pair, differences in percentage points.
    """
    pairs = comparison.pairs
    return pd.DataFrame(
        {
            "better": pairs["a"],
            "worse": pairs["b"],
            "R@1 difference": [
                f"{100 * d:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
                for d, low, high in zip(
                    pairs["difference"], pairs["low"], pairs["high"], strict=True
                )
            ],
            "p (Holm)": [f"{p:.3f}" if p >= 0.0005 else "< 0.001" for p in pairs["p_holm"]],
            "verdict": pairs["significant"].map({True: "real", False: "within noise"}),
            "only better right": pairs["wins"],
            "only worse right": pairs["losses"],
        }
    )


def hardest_classes(run: Run, protocol: str | None = None, count: int = 10) -> pd.DataFrame:
    """List the classes with the lowest Recall@1.

    Args:
        run: The run.
        protocol: The protocol's name; default: its primary one.
        count: How many.

    Returns:
        Class name, queries, R@1 with its 95% Wilson interval, in percent.
    """
    neighbors = run.neighbors(protocol)
    labels = run.items["label"].to_numpy()
    worst = class_table(query_table(neighbors, labels)).head(count)
    names = run.items.drop_duplicates("label").set_index("label")["label_name"]
    return pd.DataFrame(
        {
            "class": worst["label"].map(names),
            "queries": worst["queries"],
            "R@1": [
                f"{percent(p)} [{percent(low)}, {percent(high)}]"
                for p, low, high in zip(worst["recall"], worst["low"], worst["high"], strict=True)
            ],
        }
    ).set_index("class")
