"""Embedding map: every item is a point; hovering, clicking and lassoing show images."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from retrieval.runs.large import MANY_ITEMS, is_large, sample_caption
from workbench import figures
from workbench.analysis.sampling import round_robin
from workbench.analysis.search import matching_rows
from workbench.components.gallery import card, query_card, result_cards
from workbench.data import projections
from workbench.data.images import hover_url
from workbench.data.lookup import Answer, answer
from workbench.figures.style import CONFIG
from workbench.layout.exports import export_menu
from workbench.layout.theme import file_stem, page_head, plain
from workbench.pages.embedding_map.colorings import color_options, coloring
from workbench.pages.shared.cards import clickable_cards, clickable_points
from workbench.pages.shared.no_map import no_map
from workbench.session import url
from workbench.session.changes import fragment
from workbench.session.lasso import end_lasso, keep_lasso, lassoed_rows
from workbench.session.navigation import open_query
from workbench.session.parameters import COLOR, FIND, LAYOUT, STEP
from workbench.session.selection import Selection, selection
from workbench.session.trail import current_item, go_to

LASSO_SHOWN = 60
NEAR = 9
READING = {
    "UMAP": "UMAP preserves neighborhoods, not distances: clusters mean something, gaps do not.",
    "PCA": "PCA shows the two directions of largest variance.",
    "PCA 3-D": "PCA shows the three directions of largest variance. Drag to rotate.",
}
AT_STEP = "Colors, results and similarities are those of the finished run, not of this step."
HELP = (
    "**Hover** over a point to see its image.  \n**Click** a point to see its neighbors in the "
    "embedding space.  \n**Lasso** several points (button above the map) to see all their images."
)


def map_page() -> None:
    """Draw the page."""
    chosen = selection()
    head = page_head("Embedding map", chosen)
    if chosen.a.projection is None:
        no_map([chosen.a])
        return
    shown: dict[str, go.Figure] = {}
    with head:
        export_menu(
            name=file_stem(chosen),
            about=[chosen.a],
            tables={"Positions": lambda: _positions(chosen)},
            figures={"Map as shown": lambda: shown["map"]},
        )
    _map(chosen, shown)


@fragment
def _map(chosen: Selection, shown: dict[str, go.Figure]) -> None:
    layout, color, text = _controls(chosen)
    step = _step(chosen) if layout == "UMAP" else None
    figure, rows = _figure(chosen, layout, color, step)
    shown["map"] = figure  # the export menu is drawn less often than this fragment
    found = matching_rows(chosen.a.items, text) if text else np.array([], int)
    row = current_item(len(chosen.a.items))
    near = None if row is None else answer(chosen.a, chosen.protocol, row, NEAR)
    looked_at = chosen.dataset, chosen.a.name, row
    lasso = lassoed_rows(looked_at)
    left, right = st.columns([7, 3], gap="medium")
    place = left.container()
    with left:
        clickable_points(
            ["map"],
            [hover_url(chosen.a, chosen.protocol)],
            key="map_points",
            selected=row,
            neighbors=[() if near is None else near.ids],
            found=np.union1d(found, lasso),
            on_click=_click,
        )
        _small_print(chosen, rows, layout, text, found)
        if step is not None:
            st.caption(AT_STEP)
    with right:
        if len(lasso):
            _lassoed(chosen, lasso)
        elif near is not None:
            _neighbors(chosen, near)
        else:
            st.markdown(HELP)
    url.write()
    with place:  # last: drawing many points keeps the browser busy
        _draw(figure, rows, looked_at)


def _draw(figure: go.Figure, rows: np.ndarray, looked_at: tuple) -> None:
    st.plotly_chart(
        figure,
        config=CONFIG | {"scrollZoom": True},
        key="map",
        on_select=lambda: keep_lasso("map", rows, looked_at),
        selection_mode=("lasso", "box"),
        alt="Map of the embedding: every item as a point; similar items lie close together",
    )


def _click(row: int) -> None:
    end_lasso()
    go_to(row)


def _controls(chosen: Selection) -> tuple[str, str, str]:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        layout = LAYOUT.keep("UMAP", projections.LAYOUTS)
        st.segmented_control("Projection", projections.LAYOUTS, key=LAYOUT.key, required=True)
        colors = color_options(chosen)
        color = COLOR.keep(colors[0], colors)
        st.selectbox("Color by", colors, key=COLOR.key, width=240)
        text = FIND.keep("")
        st.text_input(
            "Highlight",
            key=FIND.key,
            placeholder="class or file name",
            icon=":material/search:",
            width=240,
        )
    return layout, color, text.strip()


def _step(chosen: Selection) -> int | None:
    """Draw the slider over training steps, if the run has maps of them; None: the finished run."""
    evolution = projections.evolution(chosen.a)
    if evolution is None:
        return None
    options = [*(f"step {step:,}" for step in evolution.steps), "finished"]
    picked = STEP.keep("finished", options)
    st.select_slider(
        "Training step",
        options,
        key=STEP.key,
        help="Maps of the same items during training, aligned with the map of the finished run. "
        "Colors are those of the finished run.",
    )
    at = options.index(picked)
    return None if at == len(evolution.steps) else at


def _figure(
    chosen: Selection, layout: str, color: str, step: int | None = None
) -> tuple[go.Figure, np.ndarray]:
    rows, points = projections.sample(chosen.a, layout)
    evolution = projections.evolution(chosen.a) if layout == "UMAP" else None
    frame = None
    if evolution is not None:  # all steps share one view, so that the map does not jump
        frame = np.concatenate([points, evolution.points[:, rows].reshape(-1, 2)])
        points = points if step is None else evolution.points[step][rows]
    colored = coloring(chosen, color, rows, layout)
    figure = figures.embedding_map(points, rows, colored, frame=frame)
    return figure, figures.drawn_rows(figure)


def _small_print(
    chosen: Selection, rows: np.ndarray, layout: str, text: str, found: np.ndarray
) -> None:
    n, drawn = len(chosen.a.items), len(rows)
    count, matches = f"All {n:,} items.", ""
    if drawn < n:
        count = f"A sample of {drawn:,} of {n:,} items, with the same share of every class."
        if is_large(n):
            count = f"This map shows {sample_caption(n, drawn)}: a run of more than {MANY_ITEMS:,} "
            count += "items is not mapped whole. All figures are of all items."
    if text:
        matches = f" {len(found):,} items match “{plain(text)}”"
        ringed = int(np.isin(found, rows).sum())
        matches += "." if ringed == len(found) else f", {ringed:,} of them in the sample."
    st.caption(f"{count} {READING[layout]}{matches}")


def _neighbors(chosen: Selection, near: Answer) -> None:
    results = {
        "title": "Neighbors in the embedding space",
        "cards": result_cards(
            chosen.a, near.ids, near.similarities, near.relevant, known=near.known
        ),
        "size": 88,
    }
    query = {"cards": [query_card(chosen.a, near.query)], "size": 180}
    clickable_cards(
        {"rows": [query, results]}, key="neighbors", on_pick=lambda pick: go_to(pick.row)
    )
    st.button("Open in Retrieval", on_click=open_query, args=(near.query,))


def _lassoed(chosen: Selection, rows: np.ndarray) -> None:
    counts = chosen.a.items.iloc[rows]["label_name"].value_counts()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{len(rows):,} items of {len(counts):,} classes**")
        st.button("Clear", key="lasso_clear", type="tertiary", on_click=end_lasso)
    table = counts.rename_axis("Class").rename("Items").reset_index()
    st.dataframe(table, hide_index=True, height=180, key="lasso_counts")
    shown = rows[round_robin(chosen.a.items["label"].to_numpy()[rows], LASSO_SHOWN)]
    cards = [card(chosen.a, int(row)) for row in shown]
    clickable_cards(
        {"rows": [{"cards": cards, "size": 76}]},
        key="lasso",
        on_pick=lambda pick: open_query(pick.row),
    )
    if len(rows) > len(shown):
        st.caption(f"{len(shown)} of {len(rows):,} are shown, taken from each class in turn.")


def _positions(chosen: Selection) -> pd.DataFrame:
    names = chosen.a.items[["path", "label_name"]].reset_index(drop=True)
    positions = pd.DataFrame(chosen.a.projection).reset_index(drop=True)
    return pd.concat([names, positions], axis=1)
