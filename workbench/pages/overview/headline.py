"""The top of the Overview: which loss is best, by how much, and which page to go to next."""

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from retrieval.errors import counted
from retrieval.evaluation.families import BEST, MAYBE, NO_CLAIM, WORSE
from retrieval.evaluation.metrics import HEADLINE, Metric, metric
from retrieval.evaluation.significance import Comparison
from retrieval.report.verdicts import (
    baseline_family,
    best_family,
    disagreement,
    interval_text,
    points,
    seeds_caveat,
)
from retrieval.runs.run import Run
from workbench.analysis.confounds import confounds_line, dimensions_line
from workbench.analysis.naming import UNTRAINED_TITLE, kind_of
from workbench.layout.theme import plain
from workbench.session.navigation import jump

COMPANION = "map@r"  # the second metric of the headline; Recall@1 if it is the first


def headline(
    table: pd.DataFrame,
    compared: Comparison | None,
    runs: list[Run],
    ranked_by: str,
    leaders: Mapping[str, str],
) -> None:
    """Draw the best loss, its value, its lead, and what else the lead may be due to.

    Args:
        table: The losses, see :func:`workbench.analysis.tables.loss_table`.
        compared: The comparison of these losses; None if they were not compared.
        runs: The runs of the table; it may hold others too.
        ranked_by: The metric that losses are ranked and compared by.
        leaders: Metric -> loss of the best value, see :func:`retrieval.report.comparing.leaders`.
    """
    if ranked_by not in table:  # no query has a positive, so no loss is best
        return
    trained = table[table["loss"] != UNTRAINED_TITLE].reset_index(drop=True)
    if trained.empty:
        trained = table
    best = trained.iloc[0]
    columns = st.container(key="cards").columns(4, gap="medium")
    by_name = {run.name: run for run in runs}
    kind = kind_of([by_name[name] for name in trained["runs"].sum()])
    title = best_title(compared, trained, kind)
    caveat = seeds_caveat([len(seeds) for seeds in trained["seeds"][:2]])
    judged = "badge" in title and compared is not None and not compared.reason
    note = f"This holds{caveat}; another seed may change it."
    columns[0].metric(title, str(best["group"]), help=note if judged and caveat else None)
    columns[0].caption(f"{_run_name(best)}{_seeds(best)}, {int(best['n_queries']):,} queries")
    shown = metric(ranked_by)
    columns[1].metric(shown.title, shown.format_with_unit(best[ranked_by]))
    columns[1].caption(_facts(best, shown))
    if len(trained) > 1:
        title, value, note = _lead(compared, table, best, trained.iloc[1], kind, shown)
        columns[2].metric(title, value)
        columns[2].caption(note)
    base = table[table["loss"] == UNTRAINED_TITLE]
    if len(base) and base.iloc[0]["group"] != best["group"]:
        columns[3].metric("Gain from training", _points(best, base.iloc[0], shown))
        gain = _gain(compared, best, base.iloc[0], shown)
        columns[3].caption(f"over the untrained network; {gain}")
    if said := disagreement(leaders):
        st.markdown(plain(f"The metrics disagree about the best {kind}: {said}."))
    line = confounds_line(
        {row.group: [by_name[name] for name in row.runs] for row in trained.itertuples()}
    )
    sizes = dimensions_line(
        {row.group: [by_name[name] for name in row.runs] for row in table.itertuples()}
    )
    for note in filter(None, (line, sizes)):
        st.markdown(f":small[:orange[⚠ {plain(note)}]]")


def _facts(best: pd.Series, shown: Metric) -> str:
    """Return the interval of the best loss, and its value of a second metric."""
    low, high = (best[f"{shown.name}/{side}"] for side in ("low", "high"))
    other = metric(HEADLINE if shown.name == COMPANION else COMPANION)
    facts = ["no interval"]
    if pd.notna(low):
        facts = [f"95% interval {shown.format(low)} to {shown.format(high)}"]
    if other.name in best:
        facts.append(f"{other.title} {other.format_with_unit(best[other.name])}")
    return "; ".join(facts)


BADGES = {
    BEST: ":blue-badge[▲ lead is significant]",
    MAYBE: ":orange-badge[≈ lead may be due to chance]",
    WORSE: ":orange-badge[▼ the untrained network is better]",
    NO_CLAIM: ":orange-badge[too few classes for a verdict]",
}


def best_title(compared: Comparison | None, trained: pd.DataFrame, kind: str = "loss") -> str:
    """Return the title of the best loss, which says whether it is significantly the best.

    Args:
        compared: The comparison of the losses; None if they were not compared.
        trained: The losses, best first, without the untrained network.
        kind: See :func:`workbench.analysis.naming.kind_of`. Defaults to ``loss``.

    Returns:
        Markdown.
    """
    found = None if len(trained) < 2 else _summary(compared, trained.iloc[0])
    if compared is None or found is None:
        return f"Best {kind}"
    if compared.reason:
        return f"Best {kind} :orange-badge[no test for {metric(compared.metric).title}]"
    return f"Best {kind} {BADGES[found['verdict']]}"


def _points(a: pd.Series, b: pd.Series, shown: Metric) -> str:
    return shown.format_difference(a[shown.name] - b[shown.name]) + points(shown)


def _summary(compared: Comparison | None, row: pd.Series) -> pd.Series | None:
    """Return what the comparison says of a loss; None if it was not compared."""
    if compared is None or row["group"] not in set(compared.summary["name"]):
        return None
    return compared.summary.set_index("name").loc[row["group"]]


def _lead(
    compared: Comparison | None,
    table: pd.DataFrame,
    best: pd.Series,
    second: pd.Series,
    kind: str,
    shown: Metric,
) -> tuple[str, str, str]:
    """Return title, value and note of the lead over the best of all others, and its verdict.

    The untrained network is one of the others: where it is the next one, the lead is over it.
    """
    found = _summary(compared, best)
    if compared is None or found is None:
        note = f"over {plain(second['group'])}; {shown.format_with_unit(second[shown.name])}"
        return f"Lead over the next {kind}", _points(best, second, shown), note
    other = next(name for name in compared.summary["name"] if name != best["group"])
    rows = table[table["group"] == other]
    is_loss = rows.empty or rows.iloc[0]["loss"] != UNTRAINED_TITLE
    title = f"Lead over the next {kind}" if is_loss else "Lead over the untrained network"
    seeds = [len(best["seeds"]), *(len(row) for row in rows["seeds"] if is_loss)]
    value = shown.format_difference(found["lead"]) + points(shown)
    if compared.reason:
        return title, value, f"over {plain(other)}; {plain(compared.reason)}"
    verdict = _verdict(found["lead_low"], found["lead_high"], seeds_caveat(seeds))
    span = interval_text(shown, found["lead_low"], found["lead_high"])
    return title, value, f"over {plain(other)}; {span} ({best_family(compared)}): {verdict}"


def _gain(compared: Comparison | None, best: pd.Series, base: pd.Series, shown: Metric) -> str:
    """Describe the interval and the verdict of the gain over the untrained network."""
    if compared is None or any(_summary(compared, row) is None for row in (best, base)):
        return shown.format_with_unit(base[shown.name])
    if compared.reason:
        return plain(compared.reason)
    row = compared.against(base["group"]).set_index("name").loc[best["group"]]
    verdict = _verdict(row["low"], row["high"], seeds_caveat([len(best["seeds"])]))
    family = baseline_family(compared, "it")
    return f"{interval_text(shown, row['low'], row['high'])} ({family}): {verdict}"


def _verdict(low: float, high: float, caveat: str) -> str:
    """Return the verdict that an interval of a difference has: significant if it excludes 0."""
    if pd.isna(low):
        return "too few classes for a verdict"
    return f"significant{caveat}" if low > 0 or high < 0 else "may be due to chance"


def _run_name(row: pd.Series) -> str:
    """Return the run's name if it differs from the loss's title."""
    names = row["runs"]
    return f"run {plain(names[0])}, " if len(names) == 1 and names[0] != row["group"] else ""


def _seeds(row: pd.Series) -> str:
    seeds = row["seeds"]
    if not seeds:
        return counted(len(row["runs"]), "run")
    return ("seed " if len(seeds) == 1 else "seeds ") + ", ".join(map(str, seeds))


def next_page_buttons(*, with_map: bool = True, with_failures: bool = True) -> None:
    """Draw the buttons that lead to the pages to look at next, the first of which stands out.

    Args:
        with_map: Whether there is a map to explore. Defaults to True.
        with_failures: Whether it is known what is right, so that there can be failures and losses
            can be compared; if not, the neighbors are looked at. Defaults to True.
    """
    failures = [
        ("See failures", "rule", "failures"),
        ("Compare two losses", "compare_arrows", "compare"),
    ]
    pages = failures if with_failures else [("See neighbors", "image_search", "retrieval")]
    if with_map:
        pages = [*pages, ("Explore the map", "scatter_plot", "map")]
    with st.container(horizontal=True):
        for place, (title, icon, page) in enumerate(pages):
            st.button(
                title,
                type="secondary" if place else "primary",
                icon=f":material/{icon}:",
                on_click=jump,
                args=(page,),
            )
