"""Two maps side by side, B turned to lie on A, with one selection for both."""

import numpy as np
import streamlit as st

from retrieval.evolution import align
from workbench import address, figures, projections
from workbench.comparison import Comparison
from workbench.components import image_cards, point_images
from workbench.figures.colouring import by_level, by_outcomes
from workbench.figures.style import CONFIG
from workbench.gallery import card
from workbench.images import hover_url
from workbench.navigation import open_query
from workbench.state import Selection, current_item, go_to
from workbench.theme import plain

COLOURS = ("Outcome", "Neighbour overlap")
LINKED_SHOWN = 48
CHARTS = ("map_a", "map_b")


@st.fragment
def maps_tab(chosen: Selection, result: Comparison) -> None:
    """Draw both maps and what is selected on either.

    Args:
        chosen: What is being looked at; run B is there and has the same items.
        result: The comparison of the two runs.
    """
    missing = [run for run in (chosen.a, chosen.b) if run.projection is None]
    if missing:
        st.info("There is no map of a run yet. The app never computes one; make it with:")
        st.code("\n".join(f"retrieval evaluate {run.path}" for run in missing), language="bash")
        return
    address.keep("colours", COLOURS[0], COLOURS)
    colour = st.segmented_control("Colour by", COLOURS, key="colours", required=True)
    rows, points_a = projections.sample(chosen.a, "UMAP")
    points_b = chosen.b.projection[projections.COLUMNS["UMAP"]].to_numpy(np.float32)[rows]
    points_b, fit = align(points_b, points_a)
    colouring = _colouring(result, colour, rows, len(chosen.a.items))
    selected = rows[_latest(_draw_maps(chosen, rows, (points_a, points_b), colouring))]
    point_images(
        CHARTS,
        [hover_url(run, chosen.protocol) for run in (chosen.a, chosen.b)],
        key="maps_points",
        selected=current_item(len(chosen.a.items)),
        found=selected,
        on_click=go_to,
    )
    st.caption(
        "Rest the pointer on a point to ring the same item on the other map; lasso on either to "
        "select on both. B is turned, mirrored and scaled as a whole (Procrustes) to lie on A; "
        f"this explains {100 * fit:.0f} % of the positions, the rest differs."
    )
    if len(selected):
        _selected_images(chosen, selected)
    address.write()


def _draw_maps(
    chosen: Selection,
    rows: np.ndarray,
    maps: tuple[np.ndarray, np.ndarray],
    colouring: figures.Colouring,
) -> list[list[int]]:
    """Draw both maps; returns the points that are selected on each."""
    picked = []
    parts = zip(st.columns(2), CHARTS, (chosen.a, chosen.b), maps, "AB", strict=True)
    for column, key, run, points, name in parts:
        with column:
            st.markdown(f"**{name}** {plain(run.name)}")
            event = st.plotly_chart(
                figures.embedding_map(points, rows, colouring, height=520),
                config=CONFIG | {"scrollZoom": True},
                key=key,
                on_select="rerun",
                selection_mode=("lasso", "box"),
                alt=f"Map of run {name}: every item as a point; similar items lie close together",
            )
            picked.append([i for i in event["selection"]["point_indices"] if i < len(rows)])
    return picked


def _selected_images(chosen: Selection, selected: np.ndarray) -> None:
    cards = [card(chosen.a, int(row)) for row in selected[:LINKED_SHOWN]]
    shown = f"the first {LINKED_SHOWN} shown" if len(selected) > LINKED_SHOWN else "all shown"
    line = {"title": f"{len(selected):,} items selected", "detail": shown, "cards": cards}
    image_cards({"rows": [line | {"size": 84}]}, key="linked", on_pick=open_query)


def _latest(picked: list[list[int]]) -> list[int]:
    """Return the selection of the map that was selected on last."""
    before = st.session_state.get("maps_before", [[], []])
    changed = [i for i in (0, 1) if picked[i] != before[i]]
    if changed:
        st.session_state["maps_latest"] = changed[0]
    st.session_state["maps_before"] = picked
    return picked[st.session_state.get("maps_latest", 0)]


def _colouring(result: Comparison, colour: str, rows: np.ndarray, n: int) -> figures.Colouring:
    table = result.table
    if colour == "Neighbour overlap":
        overlap = np.zeros(n)
        overlap[table["row"]] = table["overlap"]
        return by_level(overlap[rows], "other neighbours, or no query", "the same", top=1.0)
    a, b = np.full(n, -1), np.full(n, -1)
    a[table["row"]], b[table["row"]] = table["a"], table["b"]
    return by_outcomes(a[rows], b[rows])
