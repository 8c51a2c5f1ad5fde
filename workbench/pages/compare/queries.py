"""Tabs of the comparison that show queries: who is right, which classes differ, what overlaps."""

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from workbench import figures
from workbench.analysis.comparison import Comparison, class_recalls, only_right
from workbench.components.gallery import card, first_relevant_cards, rank_sentence, result_cards
from workbench.data.lookup import answer
from workbench.figures.classes import largest_differences
from workbench.figures.style import CONFIG
from workbench.layout.run_colors import pair_colors
from workbench.layout.theme import class_names, plain
from workbench.pages.shared.cards import clickable_cards
from workbench.pages.shared.paging import page_of
from workbench.session.class_choice import chosen_class, open_clicked_class
from workbench.session.clicks import Pick, replaceable_key
from workbench.session.navigation import jump
from workbench.session.selection import Selection

PER_PAGE = 8


def gallery_tab(chosen: Selection, result: Comparison, winner: str) -> None:
    """Draw the queries that one run answers and the other does not.

    Args:
        chosen: What is being looked at; run B is there and has the same items.
        result: The comparison of the two runs.
        winner: ``a`` or ``b``, the run that is right.
    """
    part = only_right(result, winner)
    loser = "B" if winner == "a" else "A"
    st.caption(f"{len(part):,} queries, those that {loser} ranks worst first.")
    rows = page_of(part["row"].to_numpy(), f"only_{winner}", PER_PAGE)
    groups = [query_group(chosen, int(row)) for row in rows]
    clickable_cards({"groups": groups}, key=f"only_{winner}", on_pick=_open)


def query_group(chosen: Selection, row: int) -> dict:
    """Describe one query with the results of both runs, as a group of cards."""
    lines = []
    runs = zip("AB", (chosen.a, chosen.b), pair_colors(chosen), strict=True)
    for name, run, color in runs:
        found = answer(run, chosen.protocol, row, chosen.k)
        cards = result_cards(run, row, found.ids, found.similarities)
        first = (found.first_hit_item, found.first_hit, found.first_hit_similarity)
        lines.append(
            {
                "title": f"{name}  {run.name}",
                "color": color,
                "mark": "hit" if found.first_hit == 1 else "miss",
                "detail": rank_sentence(found.first_hit),
                "cards": cards + first_relevant_cards(run, *first, len(cards)),
                "size": 80,
                "layout": "line",
            }
        )
    return {"lead": card(chosen.a, row, kind="query"), "size": 132, "rows": lines}


def classes_tab(chosen: Selection, result: Comparison) -> None:
    """Draw the classes on which the runs differ most, and queries of the chosen one."""
    table = class_recalls(result)
    widest = int(table["delta"].abs().argmax())
    at, label = chosen_class(table, widest)
    bars = replaceable_key("class_delta")
    left, right = st.container(key="beside").columns([5, 6], gap="large")
    with left:
        st.caption(_shown_classes(table))
        st.plotly_chart(
            class_figure(chosen, result),
            config=CONFIG,
            key=bars,
            on_select=lambda: open_clicked_class(bars, table, widest),
            selection_mode="points",
            alt="Recall@1 under A minus Recall@1 under B, of the classes that differ most",
        )
    with right:
        differs = result.table["a"] != result.table["b"]
        part = result.table[(result.table["label"] == label) & differs]
        name = plain(class_names(chosen.a)[label])
        st.markdown(
            f"**{name}**: the runs differ on {len(part):,} of {table['n'][at]:,} queries. Click a "
            "class to see others."
        )
        groups = [query_group(chosen, int(row)) for row in part["row"].head(4)]
        clickable_cards({"groups": groups}, key="class_images", on_pick=_open)


def _shown_classes(table: pd.DataFrame) -> str:
    shown, differing = (
        len(largest_differences(table["delta"].to_numpy())),
        int((table["delta"] != 0).sum()),
    )
    which = "all that differ" if shown == differing else "those that differ most"
    return (
        f"{shown:,} of {len(table):,} classes, {which}; n counts queries. Whiskers: 95 % of each "
        "(Newcombe's paired interval); among many classes some differ by chance."
    )


def class_figure(chosen: Selection, result: Comparison) -> go.Figure:
    """Draw Recall@1 under A minus that under B, by class."""
    table = class_recalls(result)
    names = table["label"].map(class_names(chosen.a)).tolist()
    a, b, n, low, high = (table[c].to_numpy() for c in ("a", "b", "n", "low", "high"))
    return figures.class_differences(
        names, a, b, n, intervals=(low, high), colors=pair_colors(chosen)
    )


def overlap_tab(chosen: Selection, result: Comparison) -> None:
    """Draw how much the runs' results overlap, and the queries where they do least."""
    overlap = result.table["overlap"]
    st.caption(
        f"The top-{chosen.k} lists of the two runs share {100 * overlap.mean():.0f} % of their "
        "items on average, order aside. Below, the queries on which they agree least."
    )
    st.plotly_chart(
        overlap_figure(result),
        config=CONFIG,
        key="overlap",
        alt=f"How many queries share how much of their top {chosen.k} between the two runs",
    )
    least = result.table.sort_values("overlap", kind="stable")
    rows = page_of(least["row"].to_numpy(), "overlap", PER_PAGE)
    groups = [query_group(chosen, int(row)) for row in rows]
    clickable_cards({"groups": groups}, key="least_overlap", on_pick=_open)


def overlap_figure(result: Comparison) -> go.Figure:
    """Draw over how many queries the runs share how much of their results."""
    return figures.overlap_histogram(result.table["overlap"].to_numpy())


def _open(pick: Pick) -> None:
    jump("retrieval", row=pick.row, run=pick.run)
