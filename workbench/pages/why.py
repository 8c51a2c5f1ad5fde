"""Why did this match? The similarity of a query and a result, spread over both images."""

import numpy as np
import streamlit as st

from retrieval.errors import UserError
from retrieval.runs import Run
from workbench import address, network
from workbench.components import image_cards
from workbench.failures import query_table
from workbench.gallery import first_hit_cards, query_card, result_cards
from workbench.heatmaps import concentration, data_url, overlay, plain
from workbench.lookup import answer, similarity
from workbench.pages.walking import listed_queries, place_caption, query_to_show, step_buttons
from workbench.run_colours import pair_colours
from workbench.state import Selection, selection
from workbench.theme import page_head
from workbench.theme import plain as text

ASKED = "why_asked"
TOLERANCE = 2e-3
READING = (
    "An embedding is a mean over the positions of an image, so a similarity can be traced back to "
    "positions: **bright** ones raise it, **dark** ones play no part, **blue** ones lower it. "
    "Click a result to explain it."
)


def why_page() -> None:
    """Draw the page."""
    chosen = selection()
    page_head("Why did this match?", chosen)
    table = query_table(chosen.neighbours, chosen.a.items["label"].to_numpy())
    rows = listed_queries(chosen, table)
    row = query_to_show(chosen, table, rows)
    with st.container(horizontal=True, vertical_alignment="center"):
        step_buttons(rows, row)
        place_caption(rows, row)
    found = answer(chosen.a, chosen.protocol, row, chosen.k)
    if not len(found.ids):
        st.info("The gallery is empty: there is no result to explain.")
        return
    other = _chosen_result(len(chosen.a.items), row, int(found.ids[0]))
    st.markdown(READING)
    cards = result_cards(chosen.a, row, found.ids, found.similarities)
    first = (found.first_hit_item, found.first_hit, found.first_hit_similarity)
    cards += first_hit_cards(chosen.a, *first, len(cards), "first correct item")
    for card in filter(None, cards):
        card["kind"] = "chosen" if card["row"] == other else ""
    line = {"title": "Results of the query under run A", "cards": cards, "size": 92}
    lead = {"lead": query_card(chosen.a, row), "size": 150, "rows": [line | {"layout": "line"}]}
    image_cards({"groups": [lead]}, key="why_results", on_pick=_pick)
    if not (network.is_loaded() or st.session_state.get(ASKED)):
        st.button(
            "Show what they have in common",
            type="primary",
            icon=":material/troubleshoot:",
            on_click=lambda: st.session_state.update({ASKED: True}),
        )
        st.caption("Loads the network (TensorFlow): some ten seconds the first time.")
        return
    runs = zip("AB", (chosen.a, chosen.b), pair_colours(chosen), strict=True)
    for name, run, colour in runs:
        if run is not None:
            _explain(chosen, run, f"{name}  {run.name}", colour, (row, other))


def _chosen_result(n: int, query: int, default: int) -> int:
    match = address.keep("match", parse=int)
    return match if match is not None and 0 <= match < n and match != query else default


def _pick(choice: dict) -> None:
    st.session_state["match"] = int(choice["row"])


def _explain(chosen: Selection, run: Run, title: str, colour: str, pair: tuple[int, int]) -> None:
    reason = network.why_not(run)
    if reason:
        st.caption(text(reason))
        return
    if max(pair) >= len(run.items):
        st.caption(text(f"{run.name} does not hold these items."))
        return
    try:
        match, images = network.explain(run, *pair)
    except UserError as error:
        st.text(str(error))
        return
    stored = similarity(run, chosen.protocol, run.embeddings[pair[0]], np.array([pair[1]]))[0]
    strongest = max(np.abs(match.first).max(), np.abs(match.second).max())
    cards = []
    for image, parts, row, what in zip(
        images, (match.first, match.second), pair, ("query", "result"), strict=True
    ):
        label = str(run.items["label_name"].iloc[row])
        grid = f"{parts.shape[0]} × {parts.shape[1]} positions"
        share = f"{grid}; strongest quarter: {100 * concentration(parts):.0f} %"
        fixed = {"row": row, "pickable": False, "label": label}
        seen = {"src": data_url(plain(image)), "alt": f"{what}: {label}", "note": what}
        heat = {"src": data_url(overlay(image, parts, strongest)), "note": share}
        cards += [fixed | seen, fixed | heat | {"alt": f"where the {what} matches"}]
    image_cards(
        {
            "rows": [
                {
                    "title": title,
                    "colour": colour,
                    "detail": _detail(chosen, run, match, float(stored)),
                    "cards": cards,
                    "size": 224,
                }
            ]
        },
        key=f"why_{title[0]}",
    )


def _detail(chosen: Selection, run: Run, match, stored: float) -> str:
    how = (
        "exact: the parts add up to it (average pooling, linear head)"
        if match.exact
        else "approximate: activation times gradient, the head is not linear"
    )
    detail = f"cosine similarity {match.similarity:.3f}  ·  {how}"
    distance = run.result(chosen.protocol)["protocol"].get("distance", "cosine")
    if distance == "cosine" and abs(match.similarity - stored) > TOLERANCE:
        detail += f"  ·  stored similarity {stored:.3f}: embedded from other crops or views"
    return detail
