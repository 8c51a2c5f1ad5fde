"""What a comparison of runs says, in sentences and cells: the same words in every output.

The terminal, the reports, the notebooks and the app take their verdicts from here. Each states the
family of comparisons that its interval and its adjusted p-value hold for.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from retrieval.evaluation.families import BEST, MAYBE, NO_CLAIM, WORSE
from retrieval.evaluation.metrics import DASH, Metric, metric
from retrieval.evaluation.noninferiority import not_worse
from retrieval.evaluation.planning import Plan
from retrieval.evaluation.significance import Comparison

BEST_HEAD = ("Run", "Lead over the best other [95%]", "Verdict")
DIFFERENCE_HEAD = (
    "Difference [95%]", "p, not adjusted", "p, adjusted", "Significant", "W / T / L"
)  # fmt: skip
NOT_TESTED = "not tested"
ONE_PAIR = "one comparison, so nothing is adjusted"
SIGNS = {BEST: "▲", MAYBE: "≈", WORSE: "▼", NO_CLAIM: DASH}


def format_p(p: float) -> str:
    """Return the text of a p-value, with three decimals; a dash if there is none.

    >>> format_p(0.0234), format_p(0.0002)
    ('0.023', '< 0.001')
    """
    if np.isnan(p):
        return DASH
    return f"{p:.3f}" if p >= 0.0005 else "< 0.001"


def p_equals(p: float) -> str:
    """Return a p-value for a sentence.

    >>> p_equals(0.0234), p_equals(0.0002)
    ('p = 0.023', 'p < 0.001')
    """
    text = format_p(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def best_family(compared: Comparison) -> str:
    """Name the family of the comparisons with the best; say so if there was no test."""
    if compared.no_claim:
        return NOT_TESTED
    return f"adjusted over the comparisons of {len(compared.summary)} runs with the best"


def baseline_family(compared: Comparison, baseline: str) -> str:
    """Name the family of the comparisons with a baseline; say so if there was no test."""
    if compared.no_claim:
        return NOT_TESTED
    n = len(compared.summary) - 1
    if n == 1:
        return ONE_PAIR
    return f"adjusted over the {n} comparisons with {baseline}"


def pairs_family(compared: Comparison) -> str:
    """Name the family of all pairs; say so if there was no test."""
    if compared.no_claim:
        return NOT_TESTED
    n = len(compared.pairs)
    return ONE_PAIR if n == 1 else f"adjusted over all {n} pairs"


def points(found: Metric) -> str:
    """Return the unit of a difference of a metric, with a space before it; empty if it has none."""
    return " points" if found.is_percent else ""


def lead_text(compared: Comparison, name: str) -> str:
    """Return a run's lead over the best of the others, with its interval.

    Args:
        compared: The comparison.
        name: Name of the run.
    """
    row = compared.summary.set_index("name").loc[name]
    return metric(compared.metric).format_difference(row["lead"], row["lead_low"], row["lead_high"])


def interval_text(found: Metric, low: float, high: float) -> str:
    """Return the interval of a difference for a sentence; says so if there is none."""
    if np.isnan(low):
        return "no interval"
    return f"95% {found.format_difference(low)} to {found.format_difference(high)}"


def headline(compared: Comparison, caveat: str = "") -> str:
    """Say which run is the best, or which may be, without a full stop.

    Args:
        compared: The comparison.
        caveat: Words that follow the verdict, such as those on single seeds. Defaults to none.

    Returns:
        The sentence; empty if there are not two runs with a value.
    """
    summary, found = compared.summary, metric(compared.metric)
    if len(summary) < 2 or not compared.n_queries:
        return ""
    first = summary.iloc[0]
    if compared.no_claim:
        best = "highest" if found.higher_is_better else "lowest"
        return f"{first['name']} has the {best} {found.title}; {compared.no_claim}"
    lead = f"{found.format_difference(first['lead'])}{points(found)}"
    span = interval_text(found, first["lead_low"], first["lead_high"])
    evidence = f"({span}, {best_family(compared)}){caveat}"
    if first["verdict"] == BEST:
        return (
            f"{first['name']} is the best of {len(summary)} runs by {found.title}: it leads the "
            f"next one by {lead} {evidence}"
        )
    others = [name for name in summary["name"][1:] if _maybe(compared, name)]
    also = f"{joined(others)} may be as good or better"
    return (
        f"{first['name']} has the highest {found.title}, but {also}: it leads by {lead} {evidence}"
    )


def disagreement(leaders: Mapping[str, str]) -> str:
    """Say where metrics disagree about which loss is the best, without a full stop.

    >>> disagreement({"recall@1": "a", "map@r": "b", "nmi": "b"})
    'a leads in R@1; b in MAP@R and NMI'

    Args:
        leaders: Metric -> loss of the best value, the metric that losses are ranked by first.

    Returns:
        The sentence; empty if one loss leads in all.
    """
    titles: dict[str, list[str]] = {}
    for name, leader in leaders.items():
        titles.setdefault(leader, []).append(metric(name).title)
    if len(titles) < 2:
        return ""
    leads = dict.fromkeys(titles, "in") | {next(iter(titles)): "leads in"}
    return "; ".join(f"{leader} {leads[leader]} {joined(each)}" for leader, each in titles.items())


def _maybe(compared: Comparison, name: str) -> bool:
    return compared.summary.set_index("name").loc[name, "verdict"] == MAYBE


def joined(names: Sequence[str]) -> str:
    """Return names as a list in a sentence.

    >>> joined(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def best_rows(compared: Comparison) -> list[list[str]]:
    """Return the cells under :data:`BEST_HEAD`, one list per run, best first; none for one run."""
    if len(compared.summary) < 2 or not compared.n_queries:
        return []
    return [
        [name, lead_text(compared, name), f"{SIGNS[verdict]} {verdict}"]
        for name, verdict in zip(compared.summary["name"], compared.summary["verdict"], strict=True)
    ]


def difference_cells(row: pd.Series | dict, found: Metric) -> list[str]:
    """Return the cells under :data:`DIFFERENCE_HEAD` of a row of ``pairs`` or ``against``."""
    significant = "yes" if row["significant"] else "no"
    return [
        found.format_difference(row["difference"], row["low"], row["high"]),
        format_p(row["p"]),
        format_p(row["p_adjusted"]),
        DASH if np.isnan(row["low"]) else significant,
        DASH if pd.isna(row["wins"]) else f"{row['wins']} / {row['ties']} / {row['losses']}",
    ]


def margin_head(margin: float, found: Metric) -> str:
    """Return the heading of the column of :func:`not_worse`."""
    amount = found.scale * margin
    unit = points(found).removesuffix("s") if amount == 1 else points(found)
    return f"Not worse by more than {amount:g}{unit}"


def against_rows(compared: Comparison, baseline: str, margin: float | None) -> list[list[str]]:
    """Return a row of cells for every run but the baseline: name, differences, non-inferiority.

    Args:
        compared: The comparison.
        baseline: Name of the baseline.
        margin: Margin of non-inferiority, as stored; None for no such column.
    """
    rows, found = [], metric(compared.metric)
    for row in compared.against(baseline).to_dict("records"):
        cells = [row["name"], *difference_cells(row, found)]
        if margin is not None:
            cells.append(not_worse(row["low"], row["high"], margin))
        rows.append(cells)
    return rows


def pair_rows(compared: Comparison) -> list[list[str]]:
    """Return a row of cells for every pair: better, other, and :data:`DIFFERENCE_HEAD`."""
    found = metric(compared.metric)
    return [
        [row["a"], row["b"], *difference_cells(row, found)]
        for row in compared.pairs.to_dict("records")
    ]


def plan_line(planned: Plan, found: Metric, unit: str = "class") -> str:
    """Say what it takes to resolve a difference, without a full stop.

    Args:
        planned: See :func:`retrieval.evaluation.planning.plan`.
        found: The metric of the difference.
        unit: What is resampled, see :attr:`Comparison.unit`. Defaults to ``class``.
    """
    one, many = ("query", "queries") if unit == "query" else ("class", "classes")
    amount = found.scale * planned.resolution
    size = points(found).removesuffix("s") if amount == 1 else points(found)
    head = f"resolving {amount:g}{size} between runs like these (80% power)"
    if np.isnan(planned.needed_classes):
        return f"{head}: unknown, since they do not differ on any {one}"
    if np.isinf(planned.needed_classes) and np.isinf(planned.needed_seeds):
        classes, seeds = np.ceil(planned.times * np.array([planned.classes, planned.seeds]))
        return (
            f"{head} takes more {many} and more seeds, such as {classes:,.0f} {many} "
            f"(here {planned.classes:.0f}) with {seeds:,.0f} seeds each (here {planned.seeds})"
        )
    if np.isinf(planned.needed_classes):
        classes = f"no number of {many} with so few seeds"
    else:
        classes = f"about {planned.needed_classes:,.0f} {many} (here {planned.classes:.0f})"
    if np.isnan(planned.needed_seeds):
        return f"{head} takes {classes}; with one seed the spread over seeds is unknown"
    if np.isinf(planned.needed_seeds):
        seeds = f"no number of seeds is enough on these {many}"
    else:
        seeds = (
            f"about {planned.needed_seeds:,.0f} seeds each on these {many} (here {planned.seeds})"
        )
    return f"{head} takes {classes}, or {seeds}"


def seeds_caveat(counts: Sequence[int]) -> str:
    """Say how far a verdict reaches where a loss was trained with one seed only.

    Args:
        counts: Number of seeds of each loss that is compared; 0 for imported embeddings.

    Returns:
        Words that follow a verdict, beginning with a space; empty if every loss has several seeds.
    """
    counts = [n for n in counts if n]
    if min(counts, default=2) > 1:
        return ""
    which = "one seed each" if max(counts) == 1 else "some with one seed only"
    return f" for these training runs ({which})"
