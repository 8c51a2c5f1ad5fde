"""Tabs of the comparison that show queries: by outcome, by class and by neighbor overlap."""

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from retrieval.errors import counted
from retrieval.evaluation.metrics import metric
from retrieval.report.comparing import scores_of
from retrieval.runs.run import Run
from workbench import figures
from workbench.analysis.comparison import QueryComparison, class_means, only_right
from workbench.analysis.naming import class_names
from workbench.components.gallery import answer_cards, card, standing
from workbench.data.lookup import answer
from workbench.figures.classes import largest_differences
from workbench.figures.style import CONFIG
from workbench.layout.run_colors import pair_colors
from workbench.layout.theme import plain
from workbench.pages.shared.cards import clickable_cards
from workbench.pages.shared.named_runs import named_runs
from workbench.pages.shared.paging import page_of
from workbench.session.class_choice import chosen_class, open_clicked_class
from workbench.session.clicks import Pick, replaceable_key
from workbench.session.navigation import jump
from workbench.session.selection import Selection

PER_PAGE = 8
Sides = tuple[list[Run], list[Run]]  # the runs of loss A and of loss B, one per seed


def gallery_tab(chosen: Selection, result: QueryComparison, winner: str) -> None:
    """Draw the queries that only one of the two runs answers correctly.

    Args:
        chosen: The choices made in the sidebar, with a run B that has the items of run A.
        result: The comparison of the two runs.
        winner: The run that is right, ``a`` or ``b``.
    """
    part = only_right(result, winner)
    loser = "B" if winner == "a" else "A"
    st.caption(
        f"{counted(len(part), 'query', 'queries')}. First come those whose first relevant item "
        f"{loser} ranks lowest."
    )
    rows = page_of(part["row"].to_numpy(), f"only_{winner}", PER_PAGE)
    groups = [query_group(chosen, int(row)) for row in rows]
    clickable_cards({"groups": groups}, key=f"only_{winner}", on_pick=_open)


def query_group(chosen: Selection, row: int) -> dict:
    """Describe one query and its results under both runs.

    Args:
        chosen: The choices made in the sidebar.
        row: Row of the query.

    Returns:
        A group for :func:`workbench.components.image_cards`.
    """
    lines = []
    for named in named_runs(chosen):
        run = named.run
        found = answer(run, chosen.protocol, row, chosen.k)
        lines.append(
            {
                "title": named.title,
                "color": named.color,
                **standing(found),
                "cards": answer_cards(run, found),
                "size": 80,
                "layout": "line",
            }
        )
    return {"lead": card(chosen.a, row, kind="query"), "size": 132, "rows": lines}


def classes_tab(chosen: Selection, result: QueryComparison, sides: Sides) -> None:
    """Draw the classes on which the losses differ most, and queries of the chosen class.

    Args:
        chosen: The choices made in the sidebar, with a run B that has the items of run A.
        result: The comparison of the two runs.
        sides: The runs of both losses, one per seed.
    """
    table = class_scores(chosen, sides)
    if table.empty:
        title = metric(chosen.metric).title
        st.caption(f"No {title} by class: these runs do not hold it for every query.")
        return
    widest = int(table["delta"].abs().argmax())
    at, label = chosen_class(table, widest)
    bars = replaceable_key("class_delta")
    left, right = st.container(key="beside").columns([5, 6], gap="large")
    with left:
        st.caption(_shown_classes(table, chosen.metric))
        st.plotly_chart(
            class_figure(chosen, sides),
            config=CONFIG,
            key=bars,
            on_select=lambda: open_clicked_class(bars, table, widest),
            selection_mode="points",
            alt=f"{metric(chosen.metric).long_title} of A minus that of B for the classes that "
            "differ most",
        )
    with right:
        differs = result.table["a"] != result.table["b"]
        part = result.table[(result.table["label"] == label) & differs]
        name = plain(class_names(chosen.a)[label])
        st.markdown(
            f"**{name}**: the runs differ at rank 1 on {len(part):,} of {table['n'][at]:,} "
            "queries. Click the bar of another class to see its queries."
        )
        groups = [query_group(chosen, int(row)) for row in part["row"].head(4)]
        clickable_cards({"groups": groups}, key="class_images", on_pick=_open)


def class_scores(chosen: Selection, sides: Sides) -> pd.DataFrame:
    """Return the chosen metric of every class under both losses.

    Args:
        chosen: The choices made in the sidebar.
        sides: The runs of both losses, one per seed.

    Returns:
        See :func:`workbench.analysis.comparison.class_means`; empty if the metric has no score per
        query, or a run does not hold them, so that there is no figure.
    """
    a, b = (scores_of(runs, chosen.protocol, chosen.metric) for runs in sides)
    labels = chosen.a.items["label"].to_numpy()[chosen.neighbors.queries]
    return pd.DataFrame() if a is None or b is None else class_means(a, b, labels)


def _shown_classes(table: pd.DataFrame, name: str) -> str:
    shown = len(largest_differences(table["delta"].to_numpy()))
    differing = int((table["delta"] != 0).sum())
    which = "all that differ" if shown == differing else "those that differ most"
    said = (
        f"{metric(name).title} of {shown:,} of {len(table):,} classes, {which}; n is the number of "
        "queries. "
    )
    if table["low"].notna().all():
        said += "Whiskers are 95% intervals of single classes (Newcombe's paired interval). "
    return said + "Among many classes, some differ by chance."


def class_figure(chosen: Selection, sides: Sides) -> go.Figure:
    """Draw the chosen metric of loss A minus that of loss B, by class."""
    table = class_scores(chosen, sides)
    names = table["label"].map(class_names(chosen.a)).tolist()
    a, b, n, low, high = (table[c].to_numpy() for c in ("a", "b", "n", "low", "high"))
    intervals = None if pd.isna(low).any() else (low, high)
    return figures.class_differences(
        names, a, b, n, intervals=intervals, colors=pair_colors(chosen), metric=chosen.metric
    )


def overlap_tab(chosen: Selection, result: QueryComparison) -> None:
    """Draw how much the results of the two runs overlap, and the queries with the least overlap.

    Args:
        chosen: The choices made in the sidebar, with a run B that has the items of run A.
        result: The comparison of the two runs.
    """
    overlap = result.table["overlap"]
    st.caption(
        f"On average, the top-{chosen.k} lists of the two runs share {100 * overlap.mean():.0f}% "
        "of their items, in whatever order. Below are the queries with the least overlap first."
    )
    st.plotly_chart(
        overlap_figure(result),
        config=CONFIG,
        key="overlap",
        alt=f"Histogram of queries by the share of their top {chosen.k} that the runs share",
    )
    least = result.table.sort_values("overlap", kind="stable")
    rows = page_of(least["row"].to_numpy(), "overlap", PER_PAGE)
    groups = [query_group(chosen, int(row)) for row in rows]
    clickable_cards({"groups": groups}, key="least_overlap", on_pick=_open)


def overlap_figure(result: QueryComparison) -> go.Figure:
    """Draw the histogram of the share of results that both runs have in common."""
    return figures.overlap_histogram(result.table["overlap"].to_numpy())


def _open(pick: Pick) -> None:
    jump("retrieval", row=pick.row, run=pick.run)
