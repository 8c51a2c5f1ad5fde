"""Failures: what the run gets wrong, sorted so that the worst come first."""

import numpy as np
import pandas as pd
import streamlit as st

from workbench import failures as analyses
from workbench import figures
from workbench.components import image_cards
from workbench.figures.failures import rank_bins
from workbench.figures.style import CONFIG
from workbench.gallery import card, rows_of_queries
from workbench.navigation import jump
from workbench.state import Selection, selection
from workbench.theme import page_head, plain

PER_PAGE = 12
ORDERS = {
    "Confident and wrong": (
        analyses.confident_and_wrong,
        "Wrong at rank 1, and sure of it: highest similarity of the wrong item first.",
    ),
    "Near miss": (
        analyses.near_misses,
        "The right item is only just behind the wrong one: lowest rank, smallest gap first.",
    ),
    "Worst rank": (
        analyses.worst_ranks,
        "The right item is furthest down the list: highest rank first.",
    ),
}


def failures_page() -> None:
    """Draw the page."""
    chosen = selection()
    page_head("Failures", chosen)
    labels = chosen.a.items["label"].to_numpy()
    table = analyses.query_table(chosen.neighbours, labels)
    wrong = len(analyses.failures(table))
    n = int(table["answerable"].sum())
    st.markdown(
        f"**{wrong:,}** of {n:,} queries ({100 * wrong / max(1, n):.1f} %) are wrong at rank 1. "
        "Click an image to look at it as the query."
    )
    queries, pairs, hubs, duplicates, errors, classes = st.tabs(
        [
            "Queries",
            "Confused classes",
            "Hubs and orphans",
            "Near-duplicates across classes",
            "Suspected label errors",
            "Worst classes",
        ],
        key="tab",
        on_change="rerun",
    )
    parts = {
        queries: lambda: _queries(chosen, table),
        pairs: lambda: _pairs(chosen, table, labels),
        hubs: lambda: _hubs(chosen, labels),
        duplicates: lambda: _duplicates(chosen, labels),
        errors: lambda: _label_errors(chosen, labels),
        classes: lambda: _classes(chosen, table),
    }
    for tab, draw in parts.items():
        if tab.open:
            with tab:
                draw()


def _open(choice: dict) -> None:
    jump("retrieval", row=int(choice["row"]))


def _names(chosen: Selection) -> dict[int, str]:
    unique = chosen.a.items.drop_duplicates("label")
    return dict(zip(unique["label"].astype(int), unique["label_name"].astype(str), strict=True))


def _queries(chosen: Selection, table: pd.DataFrame) -> None:
    event = st.plotly_chart(
        figures.rank_histogram(table["first_hit"].to_numpy()),
        config=CONFIG,
        key="ranks",
        on_select="rerun",
        selection_mode="points",
    )
    bins = rank_bins(int(table["first_hit"].max()))
    picked = [bins[i] for i in event["selection"]["point_indices"] if i < len(bins)]
    order = st.segmented_control(
        "Order",
        list(ORDERS),
        default="Confident and wrong",
        key="order",
        required=True,
        bind="query-params",
        label_visibility="collapsed",
    )
    sort, meaning = ORDERS[order]
    if picked:
        low, high = picked[0]
        inside = table[table["first_hit"].between(low, high)]
        found = inside.sort_values("top_similarity", ascending=False) if low == 1 else sort(inside)
        st.caption(
            f"Queries whose first correct item is at rank {low:,} to {high:,}: {len(inside):,}. "
            "Double-click the chart to see all failures."
        )
    else:
        found = sort(table)
        st.caption(f"{meaning} Click a bar above to see only its queries.")
    rows = _page_of(found["row"].to_numpy(), "queries")
    lines = rows_of_queries(chosen.a, chosen.neighbours, rows, k=min(8, chosen.k))
    image_cards({"rows": lines}, key="failed", on_pick=_open)


def _page_of(rows: np.ndarray, what: str, size: int = PER_PAGE) -> np.ndarray:
    pages = max(1, -(-len(rows) // size))
    if not len(rows):
        st.info("Nothing to show here: no such failure.")
        return rows
    page = st.pagination(pages, key=f"page_{what}") if pages > 1 else 1
    return rows[(page - 1) * size : page * size]


def _pairs(chosen: Selection, table: pd.DataFrame, labels: np.ndarray) -> None:
    names = _names(chosen)
    pairs = analyses.confused_pairs(table, labels)
    if pairs.empty:
        st.info("No class is taken for another: every query is right at rank 1.")
        return
    left, right = st.columns([5, 6], gap="large")
    with left:
        shown = pd.DataFrame(
            {
                "Class": pairs["a"].map(names),
                "taken for": pairs["b"].map(names),
                "→": pairs["a_as_b"],
                "←": pairs["b_as_a"],
                "Both": pairs["count"],
            }
        )
        event = st.dataframe(
            shown,
            hide_index=True,
            height=480,
            key="pairs",
            on_select="rerun",
            selection_mode="single-row-required",
            selection_default={"selection": {"rows": [0]}},
        )
    with right:
        square = st.plotly_chart(
            figures.confusion_map(pairs, names),
            config=CONFIG,
            key="confusion",
            on_select="rerun",
            selection_mode="points",
        )
    rows = event["selection"]["rows"]
    a, b = (int(pairs["a"][rows[0]]), int(pairs["b"][rows[0]])) if rows else (None, None)
    points = square["selection"]["points"]
    if points and points[0].get("customdata"):
        a, b = (int(x) for x in points[0]["customdata"])
    if a is not None:
        _pair_images(chosen, table, labels, (a, b), names)


def _pair_images(chosen, table, labels, pair, names) -> None:
    wrong = analyses.failures(table)
    lines = []
    for asked, answered in (pair, pair[::-1]):
        part = wrong[(wrong["label"] == asked) & (labels[wrong["top"]] == answered)]
        part = part.sort_values("top_similarity", ascending=False)
        cards = []
        for query in part.head(6).itertuples():
            cards += [
                card(chosen.a, query.row, kind="query", note="query"),
                card(chosen.a, query.top, mark="miss", score=f"{query.top_similarity:.3f}", rank=1),
                None,
            ]
        lines.append(
            {
                "title": f"{names[asked]}, answered by {names[answered]}",
                "detail": f"{len(part):,} queries",
                "cards": cards[:-1],
                "size": 96,
                "empty": "Never in this direction.",
            }
        )
    image_cards({"rows": lines}, key="pair_images", on_pick=_open)


def _hubs(chosen: Selection, labels: np.ndarray) -> None:
    gallery = analyses.gallery_rows(chosen.neighbours, chosen.a.items)
    frame = analyses.hubs_and_orphans(chosen.neighbours, labels, gallery)
    mean = frame["count"].mean()
    orphans = frame[frame["count"] == 0]
    st.caption(
        f"How many of the {len(chosen.neighbours.queries):,} top-{analyses.HUB_K} lists each of the "
        f"{len(frame):,} gallery items is in; {mean:.1f} on average. A hub is in many lists, "
        "whether it belongs there or not; an orphan is in none, so nobody can find it."
    )
    cards = [
        card(
            chosen.a,
            h.row,
            rank=f"{h.count:,}×",
            note=f"{h.wrong:,} of other classes",
            mark="miss" if h.wrong > h.count / 2 else "none",
        )
        for h in frame.rename(columns={"count": "count"}).head(24).itertuples(index=False)
    ]
    lost = [card(chosen.a, int(row)) for row in orphans["row"].head(24)]
    image_cards(
        {
            "rows": [
                {"title": "Hubs", "detail": "in the most lists", "cards": cards, "size": 104},
                {
                    "title": "Orphans",
                    "detail": f"{len(orphans):,} of {len(frame):,} items are in no list",
                    "cards": lost,
                    "size": 84,
                    "empty": "None: every gallery item is in some list.",
                },
            ]
        },
        key="hubs",
        on_pick=_open,
    )


def _duplicates(chosen: Selection, labels: np.ndarray) -> None:
    pairs = analyses.cross_class_duplicates(chosen.neighbours, labels, 40)
    st.caption(
        "The most similar pairs that carry different labels: the same picture twice, a homoglyph, "
        "or a wrong label."
    )
    lines = [
        {
            "title": f"{pair.similarity:.3f}",
            "cards": [card(chosen.a, pair.a), card(chosen.a, pair.b, mark="miss")],
            "size": 120,
        }
        for pair in pairs.itertuples()
    ]
    for column, part in zip(st.columns(4), (lines[i::4] for i in range(4)), strict=True):
        with column:
            image_cards(
                {"rows": part},
                key=f"duplicates_{lines.index(part[0]) if part else id(column)}",
                on_pick=_open,
            )


def _label_errors(chosen: Selection, labels: np.ndarray) -> None:
    found = analyses.suspected_label_errors(chosen.neighbours, labels)
    names = _names(chosen)
    st.caption(
        f"Queries for whom most of the {analyses.HUB_K} nearest items agree on another class. "
        "Suspects, not verdicts: a weak embedding makes the same pattern."
    )
    rows = _page_of(np.arange(len(found)), "errors")
    lines = []
    for suspect in found.iloc[rows].itertuples():
        line = rows_of_queries(chosen.a, chosen.neighbours, [suspect.row], k=8)[0]
        line["title"] = f"Labelled {names[suspect.label]}"
        line["detail"] = (
            f"{100 * suspect.share:.0f} % of its neighbours say {names[suspect.suggested]}"
        )
        lines.append(line)
    image_cards({"rows": lines}, key="label_errors", on_pick=_open)


def _classes(chosen: Selection, table: pd.DataFrame) -> None:
    classes = analyses.class_table(table)
    names = _names(chosen)
    shown = pd.DataFrame(
        {
            "Class": classes["label"].map(names),
            "R@1, %": 100 * classes["recall"],
            "95% from": 100 * classes["low"],
            "to": 100 * classes["high"],
            "Queries": classes["queries"],
        }
    )
    number = st.column_config.NumberColumn(format="%.1f")
    left, right = st.columns([5, 6], gap="large")
    with left:
        event = st.dataframe(
            shown,
            hide_index=True,
            height=520,
            key="classes",
            on_select="rerun",
            selection_mode="single-row-required",
            selection_default={"selection": {"rows": [0]}},
            column_config={
                "R@1, %": st.column_config.ProgressColumn(
                    format="%.1f", min_value=0, max_value=100
                ),
                "95% from": number,
                "to": number,
            },
        )
        st.caption("Wilson intervals: with few queries a low recall may be chance.")
    rows = event["selection"]["rows"]
    if rows:
        label = int(classes["label"][rows[0]])
        part = analyses.failures(table[table["label"] == label])
        with right:
            st.markdown(f"**{plain(names[label])}**: {len(part):,} failures")
            lines = rows_of_queries(chosen.a, chosen.neighbours, part["row"].head(8), k=6, size=76)
            image_cards({"rows": lines}, key="class_failures", on_pick=_open)
