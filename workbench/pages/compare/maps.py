"""Two maps side by side, B aligned to A, with one selection for both."""

import functools

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from retrieval.projection import align
from retrieval.runs.large import is_large, sample_caption
from workbench import figures
from workbench.analysis.comparison import QueryComparison
from workbench.analysis.sampling import round_robin
from workbench.components.gallery import card, query_card, rank_sentence, result_cards
from workbench.data import projections
from workbench.data.images import hover_url
from workbench.data.lookup import Answer, answer
from workbench.figures.colors import by_level, by_outcomes
from workbench.figures.style import CONFIG
from workbench.layout.run_colors import pair_colors
from workbench.layout.theme import plain
from workbench.pages.shared.cards import clickable_cards, clickable_points
from workbench.pages.shared.named_runs import named_runs
from workbench.pages.shared.no_map import no_map
from workbench.session import url
from workbench.session.changes import fragment
from workbench.session.lasso import end_lasso, keep_lasso, lassoed_rows
from workbench.session.navigation import open_query
from workbench.session.parameters import MAP_COLORS
from workbench.session.selection import Selection
from workbench.session.trail import current_item, go_to

OVERLAP = "Neighbor overlap"
COLORS = ("Outcome", OVERLAP)
LINKED_SHOWN = 48
NEAR = 10
CHARTS = ("map_a", "map_b")


@fragment
def maps_tab(chosen: Selection, result: QueryComparison) -> None:
    """Draw both maps, and what is selected on either.

    Args:
        chosen: The choices made in the sidebar, with a run B that has the items of run A.
        result: The comparison of the two runs.
    """
    a, b = chosen.pair
    missing = [run for run in (a, b) if run.projection is None]
    if missing:
        no_map(missing)
        return
    colors = COLORS if a.knows_relevant(chosen.protocol) else (OVERLAP,)
    color = MAP_COLORS.keep(colors[0], colors)
    st.segmented_control("Color by", colors, key=MAP_COLORS.key, required=True)
    maps, fit = _figures(chosen, result, color)
    row = current_item(len(a.items))
    looked_at = chosen.dataset, a.name, b.name, row
    _draw_maps(chosen, maps, looked_at)
    selected = lassoed_rows(looked_at)
    near = [] if row is None else [answer(run, chosen.protocol, row, NEAR) for run in (a, b)]
    clickable_points(
        CHARTS,
        [hover_url(run, chosen.protocol) for run in (a, b)],
        key="maps_points",
        selected=row,
        neighbors=[found.ids for found in near],
        found=selected,
        on_click=_click,
    )
    sampled, n = "", len(a.items)
    if is_large(n):
        sampled = f"The maps show {sample_caption(n, len(figures.drawn_rows(maps[0])))}. "
    st.caption(
        f"{sampled}Hover over a point to ring the same item on the other map; click it to see its "
        "neighbors under both losses; a lasso on either map selects on both. Map B is rotated, "
        f"reflected and scaled as a whole to match map A (Procrustes), which explains "
        f"{100 * fit:.0f}% of the positions; what remains is a difference between the runs."
    )
    if len(selected):
        _selected_images(chosen, selected)
    if near:
        _neighbors(chosen, near)
    url.write()


def _click(row: int) -> None:
    end_lasso()
    go_to(row)


def _figures(
    chosen: Selection, result: QueryComparison, color: str
) -> tuple[tuple[go.Figure, go.Figure], float]:
    """Return both maps, and the share of A's positions that B's explain."""
    a, b = chosen.pair
    rows, points_a = projections.sample(a, "UMAP")
    points_b, fit = align(projections.positions(b, "UMAP")[rows], points_a)
    colored = _coloring(chosen, result, color, rows)
    one, other = (
        figures.embedding_map(points, rows, colored, height=520) for points in (points_a, points_b)
    )
    return (one, other), fit


def _draw_maps(chosen: Selection, maps: tuple[go.Figure, go.Figure], looked_at: tuple) -> None:
    """Draw both maps; a selection on either is that of both."""
    rows = figures.drawn_rows(maps[0])  # the same on both: they have the same colors
    for column, key, named, figure in zip(
        st.columns(2), CHARTS, named_runs(chosen), maps, strict=True
    ):
        with column:
            st.markdown(f"**{named.letter}** {plain(named.run.name)}")
            st.plotly_chart(
                figure,
                config=CONFIG | {"scrollZoom": True},
                key=key,
                on_select=functools.partial(keep_lasso, key, rows, looked_at),
                selection_mode=("lasso", "box"),
                alt=f"Map of run {named.letter}: every item as a point; similar items lie close "
                "together",
            )


def _neighbors(chosen: Selection, near: list[Answer]) -> None:
    """Show the selected item and its neighbors in the embedding space under both runs."""
    lines = [
        {
            "title": f"{named.letter} {named.run.name}",
            "detail": "neighbors in the embedding space"
            + (f"; {rank_sentence(found.first_relevant_rank)}" if found.known else ""),
            "cards": result_cards(
                named.run, found.ids, found.similarities, found.relevant, known=found.known
            ),
            "size": 88,
            "layout": "line",
        }
        for named, found in zip(named_runs(chosen), near, strict=True)
    ]
    group = {"lead": query_card(chosen.a, near[0].query), "size": 150, "rows": lines}
    clickable_cards({"groups": [group]}, key="both_neighbors", on_pick=lambda pick: go_to(pick.row))
    st.button("Open in Retrieval", on_click=open_query, args=(near[0].query,))


def _selected_images(chosen: Selection, selected: np.ndarray) -> None:
    labels = chosen.a.items["label"].to_numpy()[selected]
    st.button("Clear selection", key="linked_clear", type="tertiary", on_click=end_lasso)
    shown = selected[round_robin(labels, LINKED_SHOWN)]
    cards = [card(chosen.a, int(row)) for row in shown]
    detail = "all shown"
    if len(selected) > len(shown):
        detail = f"{len(shown)} shown, taken from each class in turn"
    title = f"{len(selected):,} items of {len(np.unique(labels)):,} classes selected"
    line = {"title": title, "detail": detail, "cards": cards, "size": 84}
    clickable_cards({"rows": [line]}, key="linked", on_pick=lambda pick: open_query(pick.row))


def _coloring(
    chosen: Selection, result: QueryComparison, color: str, rows: np.ndarray
) -> figures.Coloring:
    table, n = result.table, len(chosen.a.items)
    if color == OVERLAP:
        overlap = np.full(n, np.nan)
        overlap[table["row"]] = table["overlap"]
        title = f"share of the {chosen.k} nearest in common"
        return by_level(overlap[rows], title, highest=1.0, percent=True)
    a, b = np.full(n, -1), np.full(n, -1)
    a[table["row"]], b[table["row"]] = table["a"], table["b"]
    return by_outcomes(a[rows], b[rows], pair_colors(chosen))
