"""Why did this match? The similarity of a query and a result, spread over both images."""

import numpy as np
import streamlit as st

from retrieval.errors import UserError
from retrieval.runs.run import Run
from workbench.analysis.failures import query_table
from workbench.components import image_cards
from workbench.components.gallery import first_relevant_cards, query_card, result_cards
from workbench.data import network
from workbench.data.lookup import Answer, answer, similarity
from workbench.figures.heatmaps import OPACITY as USUAL_OPACITY
from workbench.figures.heatmaps import concentration, data_url, legend, overlay, plain
from workbench.layout.run_colors import pair_colors
from workbench.layout.theme import page_head
from workbench.layout.theme import plain as text
from workbench.pages.shared.cards import clickable_cards
from workbench.pages.shared.query_list import (
    listed_queries,
    place_caption,
    query_to_show,
    step_buttons,
)
from workbench.session.clicks import Pick
from workbench.session.parameters import HEAT, MATCH, OPACITY
from workbench.session.selection import Selection, selection
from workbench.session.switches import NETWORK_WANTED

TOLERANCE = 2e-3
SMALL = 0.05  # similarity below which shares of it say nothing
READING = (
    "The network sees an image as a grid of positions, and every position has a part in the "
    "similarity of two images: **orange to yellow** ones raise it, the brighter the more, "
    "**gray** ones play no part, **blue** ones lower it. Click a result to explain it."
)
EXACT = (
    "Exact: this network averages over positions and ends in a linear layer, so the parts of an "
    "image add up to the similarity."
)
APPROXIMATE = (
    "Approximate: this network's head is not linear, so the parts are activation times gradient: "
    "they rank positions, and do not add up to the similarity."
)


def why_page() -> None:
    """Draw the page."""
    chosen = selection()
    page_head("Why did this match?", chosen)
    table = query_table(chosen.neighbors, chosen.a.items["label"].to_numpy())
    rows = listed_queries(chosen, table)
    row = query_to_show(chosen, table, rows)
    with st.container(horizontal=True, vertical_alignment="center"):
        step_buttons(rows, row)
        place_caption(chosen, table, rows, row)
    found = answer(chosen.a, chosen.protocol, row, chosen.k)
    if not len(found.ids):
        st.info("The gallery is empty: there is no result to explain.")
        return
    other = _chosen_result(len(chosen.a.items), row, int(found.ids[0]))
    runs = zip("AB", (chosen.a, chosen.b), pair_colors(chosen), strict=True)
    runs = [entry for entry in runs if entry[1] is not None]
    explained = any(network.why_not(run) is None for _, run, _ in runs)
    if explained:
        st.markdown(READING)
    _result_line(chosen, row, other, found)
    if explained and not (network.is_loaded() or NETWORK_WANTED.get()):
        st.button(
            "Show what they have in common",
            type="primary",
            icon=":material/troubleshoot:",
            on_click=NETWORK_WANTED.set,
            args=(True,),
        )
        st.caption("Loads the network (TensorFlow): some ten seconds the first time.")
        return
    opacity = _map_switches() if explained else 0.0
    for place, (name, run, color) in zip(st.columns(len(runs)), runs, strict=True):
        with place:
            size = 240 if len(runs) > 1 else 288
            line = {"title": f"{name}  {run.name}", "color": color, "size": size}
            _explain(chosen, run, line, (row, other), opacity)


def _result_line(chosen: Selection, row: int, other: int, found: Answer) -> None:
    """Draw the query and its results, the one that is explained in a ring."""
    cards = result_cards(chosen.a, row, found.ids, found.similarities)
    cards += first_relevant_cards(chosen.a, found, len(cards), "first correct item")
    for card in filter(None, cards):
        is_chosen = card["row"] == other
        card |= {"kind": "chosen", "note": "explained"} if is_chosen else {"kind": ""}
    line = {"title": f"Results under run A, {chosen.a.name}", "cards": cards, "size": 92}
    lead = {"lead": query_card(chosen.a, row), "size": 150, "rows": [line | {"layout": "line"}]}
    clickable_cards({"groups": [lead]}, key="why_results", on_pick=_pick)


def _map_switches() -> float:
    """Draw the switch and the slider of the heat maps; returns their opacity, 0 if off."""
    HEAT.keep(True)
    OPACITY.keep(round(100 * USUAL_OPACITY), range(20, 101))
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        shown = st.toggle(
            "Heat map", key=HEAT.key, help="Off: the images as the network sees them."
        )
        opacity = st.slider(
            "Opacity, %",
            20,
            100,
            step=5,
            key=OPACITY.key,
            width=220,
            disabled=not shown,
        )
    return opacity / 100 if shown else 0.0


def _chosen_result(n: int, query: int, default: int) -> int:
    match = MATCH.keep()
    return match if match is not None and 0 <= match < n and match != query else default


def _pick(pick: Pick) -> None:
    MATCH.set(pick.row)


def _explain(
    chosen: Selection, run: Run, line: dict, pair: tuple[int, int], opacity: float
) -> None:
    reason = network.why_not(run)
    if reason is None and max(pair) >= len(run.items):
        reason = f"{run.name} does not hold these items."
    if reason is None:
        try:
            match, images = network.explain(run, *pair)
        except UserError as error:
            reason = str(error)
    if reason is not None:
        st.info(text(reason), icon=":material/block:")
        return
    stored = similarity(run, chosen.protocol, run.embeddings[pair[0]], np.array([pair[1]]))[0]
    strongest = max(np.abs(match.first).max(), np.abs(match.second).max())
    cards = []
    for image, parts, row, what in zip(
        images, (match.first, match.second), pair, ("query", "result"), strict=True
    ):
        label = str(run.items["label_name"].iloc[row])
        drawn = overlay(image, parts, strongest, opacity=opacity) if opacity else plain(image)
        seen = {"src": data_url(drawn), "alt": f"where the {what} matches: {label}", "note": what}
        cards.append({"row": row, "pickable": False, "label": label} | seen)
    line |= {"detail": _detail(chosen, run, match, float(stored)), "cards": cards}
    image_cards({"rows": [line]}, key=f"why_{line['title'][0]}")
    if opacity:
        lowest = min(0.0, float(match.first.min()), float(match.second.min()))
        whole = match.similarity if match.exact and match.similarity > SMALL else None
        st.html(legend(lowest, float(strongest), whole, opacity=opacity))
    st.caption(_how(match))


def _how(match) -> str:
    """Say how the parts were computed and how evenly they are spread."""
    grid = f"{match.first.shape[0]} × {match.first.shape[1]}"
    query, result = (100 * concentration(parts) for parts in (match.first, match.second))
    return (
        f"{EXACT if match.exact else APPROXIMATE} Of what raises it, the strongest quarter of the "
        f"{grid} positions holds {query:.0f} % in the query and {result:.0f} % in the result; "
        "25 % would be an even spread."
    )


def _detail(chosen: Selection, run: Run, match, stored: float) -> str:
    detail = f"cosine similarity {match.similarity:.3f}"
    distance = run.result(chosen.protocol).protocol.distance
    if distance == "cosine" and abs(match.similarity - stored) > TOLERANCE:
        detail += f"  ·  stored similarity {stored:.3f}: embedded from other crops or views"
    return detail
