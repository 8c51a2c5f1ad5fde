"""Searching with a text of the user, in runs whose images lie in the space of a text tower."""

import streamlit as st

from retrieval.errors import UserError
from workbench.analysis.nearness import nearness_text
from workbench.components.gallery import card
from workbench.data import network
from workbench.data.lookup import search_vector
from workbench.layout.theme import plain
from workbench.pages.shared.cards import clickable_cards
from workbench.pages.shared.named_runs import named_runs
from workbench.session.own_text import GIVEN_TEXT
from workbench.session.parameters import TEXT
from workbench.session.selection import Selection
from workbench.session.trail import go_to

LONGEST = 500  # characters


def takes_text(chosen: Selection) -> bool:
    """Tell whether texts are in the space of the images of run A or run B."""
    return any(network.reason_without_text(named.run) is None for named in named_runs(chosen))


def own_text(chosen: Selection) -> None:
    """Draw the box for a text, and its results under runs A and B.

    Args:
        chosen: The choices made in the sidebar.
    """
    if TEXT.get() is None and TEXT.text_in_url() is None:
        TEXT.set(GIVEN_TEXT.get())  # the box was away meanwhile
    text = TEXT.keep("").strip()
    st.text_input(
        "Search by text",
        key=TEXT.key,
        placeholder="a photo of red shoes",
        icon=":material/search:",
        max_chars=LONGEST,
    )
    GIVEN_TEXT.set(text)
    if not text:
        st.caption(
            "Describe what to find, in English unless the backbone reads other languages. Its text "
            "tower embeds the text as it is typed, which loads TensorFlow the first time. Whole "
            "descriptions often do better than single words: “a photo of …”."
        )
        return
    lines, remarks = [], dict[str, None]()
    for named in named_runs(chosen):
        run = named.run
        line = {"title": named.title, "color": named.color, "layout": "wrap", "size": 128}
        try:
            if reason := network.reason_without_text(run):
                raise UserError(reason)
            found = network.embed_text(run, text)
            ids, scores = search_vector(run, chosen.protocol, found.vector, chosen.k)
        except UserError as error:
            lines.append(line | {"cards": [], "empty": str(error)})
            continue
        remarks |= dict.fromkeys(f"{run.name}: {remark}" for remark in found.remarks)
        cards = [
            card(run, int(row), rank=rank, score=nearness_text(run, score))
            for rank, (row, score) in enumerate(zip(ids, scores, strict=True), 1)
        ]
        lines.append(line | {"cards": cards})
    for remark in remarks:
        st.caption(f":orange[{plain(remark)}.]")
    clickable_cards({"rows": lines}, key="text_results", on_pick=lambda pick: go_to(pick.row))
