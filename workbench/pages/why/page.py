"""Why did this match? The similarity of a query and a result, attributed to image positions."""

import numpy as np
import streamlit as st

from retrieval.errors import UserError
from retrieval.runs.run import Run
from workbench.analysis.failures import query_table
from workbench.components import image_cards
from workbench.components.gallery import answer_cards, query_card
from workbench.data import network
from workbench.data.lookup import Answer, answer, similarity
from workbench.figures import heatmaps
from workbench.layout.theme import page_head, plain
from workbench.pages.shared.cards import clickable_cards
from workbench.pages.shared.named_runs import NamedRun, named_runs
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

TOLERANCE = 2e-3  # two similarities that differ by less are the same
LEAST_SIMILARITY = 0.05  # shares of a lower similarity would say nothing
READING = (
    "The network sees an image as a grid of positions, each of which contributes to the similarity "
    "of two images. **Orange to yellow** positions raise it, brighter ones more; **gray** "
    "positions have no effect; **blue** positions lower it. Click a result to explain it."
)
EXACT = (
    "Exact: this network averages over positions and ends in a linear layer, so the contributions "
    "of the positions of an image add up to the similarity."
)
APPROXIMATE = (
    "Approximate: the pooling or the head of this network is not linear, so the contributions are "
    "activation times gradient at its last feature map. They rank the positions but do not add up "
    "to the similarity."
)
OF_TOKENS = (
    "Approximate: in this network a class token stands for an image, not an average over patches, "
    "so the contributions are activation times gradient of the patches that the last attention "
    "reads. They rank the patches but do not add up to the similarity; those of a network with "
    "--pooling average and a linear head do."
)
METHODS = {"exact": EXACT, "map gradient": APPROXIMATE, "token gradient": OF_TOKENS}


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
    runs = named_runs(chosen)
    explained = any(network.reason_without_network(named.run) is None for named in runs)
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
        st.caption("This loads TensorFlow and the network: about ten seconds the first time.")
        return
    opacity = _map_switches() if explained else 0.0
    size = 240 if len(runs) > 1 else 288
    for place, named in zip(st.columns(len(runs)), runs, strict=True):
        with place:
            _explain(chosen, named, (row, other), opacity, size)


def _result_line(chosen: Selection, row: int, other: int, found: Answer) -> None:
    """Draw the query and its results, with a ring around the result that is explained."""
    cards = answer_cards(chosen.a, found, "first relevant item")
    for card in filter(None, cards):
        is_chosen = card["row"] == other
        card |= {"kind": "chosen", "note": "explained"} if is_chosen else {"kind": ""}
    line = {"title": f"Results under run A, {chosen.a.name}", "cards": cards, "size": 92}
    lead = {"lead": query_card(chosen.a, row), "size": 150, "rows": [line | {"layout": "line"}]}
    clickable_cards({"groups": [lead]}, key="why_results", on_pick=_pick)


def _map_switches() -> float:
    """Draw the switch and the slider of the heat maps; return their opacity, 0 if off."""
    shown = HEAT.keep(True)
    opacity = OPACITY.keep(round(100 * heatmaps.OPACITY), range(20, 101))
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.toggle("Heat map", key=HEAT.key, help="Turn it off to see the images alone.")
        st.slider("Opacity, %", 20, 100, step=5, key=OPACITY.key, width=220, disabled=not shown)
    return opacity / 100 if shown else 0.0


def _chosen_result(n: int, query: int, default: int) -> int:
    match = MATCH.keep()
    if match is not None and 0 <= match < n and match != query:
        return match
    MATCH.not_found()
    MATCH.set(None)
    return default


def _pick(pick: Pick) -> None:
    MATCH.set(pick.row)


def _explain(
    chosen: Selection, named: NamedRun, pair: tuple[int, int], opacity: float, size: int
) -> None:
    """Draw both images under one run, with the contribution of every position."""
    run = named.run
    reason = network.reason_without_network(run)
    if reason is None and max(pair) >= len(run.items):
        reason = f"{run.name} does not have these items."
    if reason is None:
        try:
            match = network.explain(run, *pair)
        except UserError as error:
            reason = str(error)
    if reason is not None:
        st.info(plain(reason), icon=":material/block:")
        return
    stored = similarity(run, chosen.protocol, run.embeddings[pair[0]], np.array([pair[1]]))[0]
    strongest = float(max(np.abs(match.first).max(), np.abs(match.second).max()))
    cards = []
    for image, parts, row, what in zip(
        match.images, (match.first, match.second), pair, ("query", "result"), strict=True
    ):
        label = str(run.items["label_name"].iloc[row])
        drawn = (
            heatmaps.overlay(image, parts, strongest, opacity=opacity)
            if opacity
            else heatmaps.plain(image)
        )
        alt = f"contribution of every position of the {what} ({label}) to the similarity"
        cards.append(
            {
                "row": row,
                "pickable": False,
                "label": label,
                "src": heatmaps.data_url(drawn),
                "alt": alt if opacity else f"the {what} ({label}) as the network sees it",
                "note": what,
            }
        )
    line = {
        "title": named.title,
        "color": named.color,
        "size": size,
        "detail": _similarities(chosen, run, match, float(stored)),
        "cards": cards,
    }
    image_cards({"rows": [line]}, key=f"why_{named.letter}")
    if opacity:
        lowest = min(0.0, float(match.first.min()), float(match.second.min()))
        shares = match.exact and match.similarity > LEAST_SIMILARITY
        whole = match.similarity if shares else None
        st.html(heatmaps.legend(lowest, strongest, whole, opacity=opacity))
    st.caption(_method(match))


def _method(match: network.Explanation) -> str:
    """Say how the contributions were computed and how concentrated they are."""
    grid = f"{match.first.shape[0]} × {match.first.shape[1]}"
    query, result = (100 * heatmaps.concentration(parts) for parts in (match.first, match.second))
    return (
        f"{METHODS[match.method]} Of all that raises the similarity, the strongest "
        f"quarter of the {grid} positions holds {query:.0f}% in the query and {result:.0f}% in "
        "the result; 25% would be an even spread."
    )


def _similarities(chosen: Selection, run: Run, match: network.Explanation, stored: float) -> str:
    text = f"cosine similarity {match.similarity:.3f}"
    distance = run.result(chosen.protocol).protocol.distance
    if distance == "cosine" and abs(match.similarity - stored) > TOLERANCE:
        text += f"  ·  stored similarity {stored:.3f}, from other crops, views or image files"
    return text
