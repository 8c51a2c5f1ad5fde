"""Embedding map: every item as a point; hover, click and lasso show images."""

import numpy as np
import pandas as pd
import streamlit as st

from workbench import address, figures, projections
from workbench.components import image_cards, point_images
from workbench.exports import export_menu
from workbench.failures import k_occurrence
from workbench.figures.embedding import Colouring, by_class, by_level, by_outcome
from workbench.figures.style import CONFIG
from workbench.gallery import card, query_card, result_cards
from workbench.images import hover_url
from workbench.lookup import Answer, answer
from workbench.navigation import open_query
from workbench.search import matching_rows
from workbench.state import Selection, current_item, go_to, selection
from workbench.theme import class_names, file_stem, page_head, plain

LASSO_SHOWN = 60
NEAR = 9
READING = {
    "UMAP": "UMAP keeps near neighbours, not distances: read clusters, not gaps.",
    "PCA": "PCA keeps the two directions of largest variance.",
    "PCA 3-D": "PCA keeps the three directions of largest variance. Drag to turn.",
}
HELP = (
    "**Rest the pointer** on a point to see its image.  \n**Click** it to see its neighbours in "
    "the original space.  \n**Lasso** many (button over the map) to see them all."
)


def map_page() -> None:
    """Draw the page."""
    chosen = selection()
    head = page_head("Embedding map", chosen)
    if chosen.a.projection is None:
        st.info("This run has no map yet. The app never computes one; make it with:")
        st.code(f"retrieval evaluate {chosen.a.path}", language="bash")
        return
    _map(chosen)
    with head:
        export_menu(
            name=file_stem(chosen),
            tables={"Positions": lambda: _positions(chosen)},
            figures={"Map": lambda: _figure(chosen, "UMAP", "Right at rank 1")[0]},
        )


@st.fragment
def _map(chosen: Selection) -> None:
    layout, colour, text = _controls(chosen)
    figure, rows = _figure(chosen, layout, colour)
    found = matching_rows(chosen.a.items, text) if text else np.array([], int)
    left, right = st.columns([7, 3], gap="medium")
    with left:
        event = st.plotly_chart(
            figure,
            config=CONFIG | {"scrollZoom": True},
            key="map",
            on_select="rerun",
            selection_mode=("lasso", "box"),
            alt="Every item as a point; similar items lie close together",
        )
    picked = [i for i in event["selection"]["point_indices"] if i < len(rows)]
    row = current_item(len(chosen.a.items))
    near = None if row is None else answer(chosen.a, chosen.protocol, row, NEAR)
    with left:
        point_images(
            ["map"],
            hover_url(chosen.a, chosen.protocol),
            key="map_points",
            selected=row,
            neighbours=() if near is None else near.ids.tolist(),
            found=found,
            on_click=_click,
        )
        _small_print(chosen, len(rows), layout, text, len(found))
    with right:
        if picked and not st.session_state.get("map_clicked"):
            _many(chosen, rows[picked])
        elif near is not None:
            _one(chosen, near)
        else:
            st.markdown(HELP)
    st.session_state["map_clicked"] = False
    address.write()


def _click(row: int) -> None:
    st.session_state["map_clicked"] = True
    go_to(row)


def _controls(chosen: Selection) -> tuple[str, str, str]:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        address.keep("layout", "UMAP", projections.LAYOUTS)
        layout = st.segmented_control(
            "Projection", projections.LAYOUTS, key="layout", required=True
        )
        colours = _colours(chosen)
        address.keep("colour", colours[0], colours)
        colour = st.selectbox("Colour by", colours, key="colour", width=240)
        address.keep("find", "")
        text = st.text_input(
            "Highlight",
            key="find",
            placeholder="class or file name",
            icon=":material/search:",
            width=240,
        )
    return layout, colour, (text or "").strip()


def _figure(chosen: Selection, layout: str, colour: str):
    rows, points = projections.sample(chosen.a, layout)
    return figures.embedding_map(points, rows, colouring(chosen, colour, rows)), rows


def _colours(chosen: Selection) -> list[str]:
    options = ["Right at rank 1", "Class", "Rank of the first hit", "Hubness"]
    if "super_name" in chosen.a.items:
        options.insert(2, "Super-class")
    if chosen.a.items["split"].nunique() > 1 or chosen.a.items["role"].nunique() > 1:
        options.append("Split and role")
    return [*options, "Honesty of the map"]


def colouring(chosen: Selection, colour: str, rows: np.ndarray) -> Colouring:
    """Colour the points of a map by what was asked for.

    Args:
        chosen: What is being looked at.
        colour: One of the options of the page.
        rows: int, (m,), row of each point.

    Returns:
        The colouring of the m points.
    """
    items, neighbours = chosen.a.items, chosen.neighbours
    if colour == "Class":
        return by_class(items["label"].to_numpy()[rows], class_names(chosen.a))
    if colour == "Super-class":
        codes, values = pd.factorize(items["super_name"].astype(str))
        return by_class(codes[rows], dict(enumerate(values)))
    if colour == "Split and role":
        codes, values = pd.factorize(items["split"].astype(str) + ", " + items["role"].astype(str))
        return by_class(codes[rows], dict(enumerate(values)))
    if colour == "Hubness":
        counts = k_occurrence(neighbours, len(items))
        return by_level(counts[rows], "in no list", f"in {counts.max():,} lists", log=True)
    if colour == "Honesty of the map":
        kept = projections.honesty(chosen.a, neighbours)
        return by_level(kept[rows], "its neighbours here are not real", "they are", top=1.0)
    ranks = np.full(len(items), -1)
    ranks[neighbours.queries] = neighbours.first_hit
    if colour == "Rank of the first hit":
        above = np.maximum(ranks[rows] - 1, 0)
        return by_level(above, "rank 1, or no query", f"rank {ranks.max():,}", log=True)
    return by_outcome(ranks[rows])


def _small_print(chosen: Selection, drawn: int, layout: str, text: str, found: int) -> None:
    n = len(chosen.a.items)
    count = f"All {n:,} items."
    if drawn < n:
        count = f"A sample of {drawn:,} of {n:,} items, the same share of every class."
    found = f" {found:,} items match “{plain(text)}”." if text else ""
    st.caption(f"{count} {READING[layout]}{found}")


def _one(chosen: Selection, near: Answer) -> None:
    results = {
        "title": "Neighbours in the original space",
        "cards": result_cards(chosen.a, near.query, near.ids, near.similarities),
        "size": 88,
    }
    query = {"cards": [query_card(chosen.a, near.query)], "size": 180}
    image_cards({"rows": [query, results]}, key="neighbours", on_pick=lambda c: go_to(c["row"]))
    st.button("Open in Retrieval", on_click=open_query, args=({"row": near.query},))


def _many(chosen: Selection, rows: np.ndarray) -> None:
    counts = chosen.a.items.iloc[rows]["label_name"].value_counts()
    st.markdown(f"**{len(rows):,} items of {len(counts):,} classes**")
    table = counts.rename_axis("Class").rename("Items").reset_index()
    st.dataframe(table, hide_index=True, height=180, key="lasso_counts")
    cards = [card(chosen.a, int(row)) for row in rows[:LASSO_SHOWN]]
    image_cards({"rows": [{"cards": cards, "size": 76}]}, key="lasso", on_pick=open_query)
    if len(rows) > LASSO_SHOWN:
        st.caption(f"The first {LASSO_SHOWN} of {len(rows):,} are shown.")


def _positions(chosen: Selection) -> pd.DataFrame:
    names = chosen.a.items[["path", "label_name"]].reset_index(drop=True)
    return pd.concat([names, chosen.a.projection.reset_index(drop=True)], axis=1)
