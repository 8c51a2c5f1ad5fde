"""Embedding map: every item as a point; hover, click and lasso show images."""

import numpy as np
import pandas as pd
import streamlit as st

from workbench import figures, projections
from workbench.components import hover_images, image_cards
from workbench.failures import k_occurrence
from workbench.figures.embedding import Colouring, by_class, by_level, by_outcome
from workbench.figures.style import CONFIG
from workbench.gallery import card, query_card, result_cards
from workbench.images import hover_url
from workbench.lookup import answer
from workbench.navigation import jump
from workbench.search import matching_rows
from workbench.state import Selection, current_item, go_to, selection, show_in_url
from workbench.theme import page_head, plain

LASSO_SHOWN = 60
NO_MAP = "This run has no map yet. Make it with"


def map_page() -> None:
    """Draw the page."""
    chosen = selection()
    page_head("Embedding map", chosen)
    if chosen.a.projection is None:
        st.info(NO_MAP, icon=":material/map:")
        st.code(f"retrieval evaluate {chosen.a.path}", language="bash")
        return
    _map(chosen)


@st.fragment
def _map(chosen: Selection) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        layout = st.segmented_control(
            "Projection",
            projections.LAYOUTS,
            default="UMAP",
            key="layout",
            required=True,
            bind="query-params",
        )
        colour = st.selectbox(
            "Colour by", _colours(chosen), key="colour", bind="query-params", width=240
        )
        text = st.text_input(
            "Highlight",
            key="find",
            placeholder="class or file name",
            icon=":material/search:",
            bind="query-params",
            width=260,
        )
    rows, points = projections.sample(chosen.a, layout)
    found = matching_rows(chosen.a.items, text) if (text or "").strip() else np.array([], int)
    left, right = st.columns([7, 3], gap="medium")
    with left:
        event = st.plotly_chart(
            figures.embedding_map(points, rows, _colouring(chosen, colour, rows), found=found),
            config=CONFIG | {"scrollZoom": True},
            key="map",
            on_select="rerun",
            selection_mode=("points", "lasso", "box"),
        )
        hover_images("map", hover_url(chosen.a, chosen.protocol), key="map_hover")
        _small_print(chosen, rows, layout, text, found)
    picked = [i for i in event["selection"]["point_indices"] if i < len(rows)]
    with right:
        if len(picked) > 1:
            _many(chosen, rows[picked])
        else:
            _one(chosen, int(rows[picked[0]]) if picked else current_item(len(chosen.a.items)))


def _colours(chosen: Selection) -> list[str]:
    options = ["Right at rank 1", "Class", "Rank of the first hit", "Hubness"]
    if "super_name" in chosen.a.items:
        options.insert(2, "Super-class")
    if chosen.a.items["split"].nunique() > 1 or chosen.a.items["role"].nunique() > 1:
        options.append("Role")
    return [*options, "Honesty of the projection"]


def _colouring(chosen: Selection, colour: str, rows: np.ndarray) -> Colouring:
    items, neighbours = chosen.a.items, chosen.neighbours
    if colour == "Class":
        names = (
            items.drop_duplicates("label").set_index("label")["label_name"].astype(str).to_dict()
        )
        return by_class(items["label"].to_numpy()[rows], names)
    if colour == "Super-class":
        names = (
            items.drop_duplicates("super_label").set_index("super_label")["super_name"].astype(str)
        )
        return by_class(items["super_label"].to_numpy()[rows], names.to_dict())
    if colour == "Hubness":
        return by_level(
            k_occurrence(neighbours, len(items))[rows], "in no list", "in most lists", log=True
        )
    if colour == "Role":
        codes, values = pd.factorize(items["split"].astype(str) + ", " + items["role"].astype(str))
        return by_class(codes[rows], dict(enumerate(values)))
    if colour == "Honesty of the projection":
        kept = projections.honesty(chosen.a, neighbours)
        return by_level(kept[rows], "2-D neighbours are not the real ones", "they are")
    ranks = np.full(len(items), -1)
    ranks[neighbours.queries] = neighbours.first_hit
    if colour == "Rank of the first hit":
        return by_level(np.maximum(ranks[rows] - 1, 0), "rank 1", f"rank {ranks.max():,}", log=True)
    return by_outcome(ranks[rows])


def _small_print(chosen: Selection, rows, layout: str, text: str, found) -> None:
    parts = []
    n = len(chosen.a.items)
    if len(rows) < n:
        parts.append(f"A sample of {len(rows):,} of {n:,} items, drawn evenly from every class.")
    else:
        parts.append(f"All {n:,} items.")
    parts.append(
        "UMAP keeps near neighbours, not distances: read clusters, not gaps."
        if layout == "UMAP"
        else "PCA keeps the directions of largest variance."
    )
    if (text or "").strip():
        parts.append(f"{len(found):,} items match “{plain(text)}”.")
    st.caption(" ".join(parts))


def _pick(choice: dict) -> None:
    jump("retrieval", row=int(choice["row"]))


def _one(chosen: Selection, row: int | None) -> None:
    if row is None:
        st.markdown(
            "**Rest the pointer on a point** to see its image. **Click** it to see its neighbours in the original space. **Lasso** many to see them all."
        )
        return
    if row != st.session_state.get("item"):
        go_to(row)
    show_in_url(row)
    found = answer(chosen.a, chosen.protocol, row, 9)
    image_cards(
        {
            "rows": [
                {"cards": [query_card(chosen.a, row)], "size": 170},
                {
                    "title": "Neighbours in the original space",
                    "cards": result_cards(chosen.a, row, found.ids, found.similarities),
                    "size": 92,
                },
            ]
        },
        key="neighbours",
        on_pick=_pick,
    )


def _many(chosen: Selection, rows: np.ndarray) -> None:
    items = chosen.a.items.iloc[rows]
    counts = items["label_name"].value_counts()
    st.markdown(f"**{len(rows):,} items, {len(counts):,} classes**")
    st.dataframe(
        counts.rename_axis("Class").rename("Items").reset_index(),
        hide_index=True,
        height=180,
        key="lasso_counts",
    )
    shown = rows[:LASSO_SHOWN]
    image_cards(
        {"rows": [{"cards": [card(chosen.a, int(r)) for r in shown], "size": 76}]},
        key="lasso",
        on_pick=_pick,
    )
    if len(rows) > len(shown):
        st.caption(f"The first {len(shown)} of {len(rows):,} are shown.")
