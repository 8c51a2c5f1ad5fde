"""Retrieval: one query, its results, and the same query under every loss."""

import numpy as np
import streamlit as st

from workbench import search
from workbench.components import image_cards
from workbench.failures import instructive_failure, query_table
from workbench.gallery import card, query_card, rank_sentence, result_cards
from workbench.lookup import Answer, answer
from workbench.palette import colours_of
from workbench.state import (
    Selection,
    can_go_back,
    current_item,
    go_back,
    go_to,
    selection,
    show_in_url,
)
from workbench.tables import metric, percent
from workbench.theme import page_head, plain

FILTERS = ("All queries", "Failures", "Right at rank 1")
STRIP = 8  # results per loss in the lower half


def retrieval_page() -> None:
    """Draw the page."""
    chosen = selection()
    page_head("Retrieval", chosen)
    table = query_table(chosen.neighbours, chosen.a.items["label"].to_numpy())
    row = current_item(len(chosen.a.items))
    row = instructive_failure(table) if row is None else row
    show_in_url(row)
    _toolbar(chosen, table, row)
    found = answer(chosen.a, chosen.protocol, row, chosen.k)
    left, right = st.columns([1, 4], gap="large")
    with left:
        _query(chosen, row)
    with right:
        _verdict(chosen, found)
        image_cards({"rows": _results(chosen, found)}, key="results", on_pick=_pick)
    _every_loss(chosen, row)


def _pick(choice: dict) -> None:
    go_to(int(choice["row"]))


def _toolbar(chosen: Selection, table, row: int) -> None:
    bar = st.container(horizontal=True, vertical_alignment="bottom", key="toolbar")
    with bar:
        text = st.text_input(
            "Search",
            key="search",
            placeholder="class or file name",
            icon=":material/search:",
            bind="query-params",
            width=260,
        )
        shown = st.selectbox("Show", FILTERS, key="show", bind="query-params", width=170)
    rows = search.query_rows(table, chosen.a.items, text or "", shown)
    before, after, other = search.around(rows, row)
    with bar:
        st.button(
            "Back",
            icon=":material/undo:",
            on_click=go_back,
            disabled=not can_go_back(),
            shortcut="Backspace",
            help="The item looked at before",
        )
        st.button(
            "Previous",
            icon=":material/chevron_left:",
            on_click=go_to,
            args=(before,),
            disabled=before is None,
            shortcut="Left",
        )
        st.button(
            "Next",
            icon=":material/chevron_right:",
            on_click=go_to,
            args=(after,),
            disabled=after is None,
            shortcut="Right",
        )
        st.button(
            "Random",
            icon=":material/casino:",
            on_click=go_to,
            args=(other,),
            disabled=other is None,
            shortcut="Space",
        )
    at = np.flatnonzero(rows == row)
    where = f"{at[0] + 1:,} of {len(rows):,}" if len(at) else f"{len(rows):,}"
    st.caption(
        f"Query {where} in this list" if len(rows) else "No query matches: clear the search."
    )


def _query(chosen: Selection, row: int) -> None:
    image_cards(
        {"rows": [{"cards": [query_card(chosen.a, row)], "size": 230, "title": "Query"}]},
        key="query",
    )
    item = chosen.a.items.iloc[row]
    lines = [f"File: {item['path']}", f"Role: {item['role']}"]
    if "super_name" in chosen.a.items:
        lines.insert(0, f"Super-class: {item['super_name']}")
    same = int((chosen.a.items["label"] == item["label"]).sum())
    lines.append(f"Items of this class: {same:,}")
    st.caption("  \n".join(plain(line) for line in lines))


def _verdict(chosen: Selection, found: Answer) -> None:
    name = plain(chosen.a.items["label_name"].iloc[found.query])
    if not found.scored:
        st.markdown(
            f"**{name}** is in the gallery and is not a scored query; searched here all the same, "
            "itself left out."
        )
    elif found.first_hit == 1:
        st.markdown(f":blue[**✓ Right.**] The nearest item is {name}.")
    elif found.first_hit == 0:
        st.markdown(f"The gallery holds no **{name}**: nothing could be right.")
    else:
        wrong = plain(chosen.a.items["label_name"].iloc[int(found.ids[0])])
        st.markdown(
            f":orange[**✗ Wrong.**] Taken for **{wrong}**; the first {name} is at rank "
            f"**{found.first_hit:,}**."
        )


def _results(chosen: Selection, found: Answer) -> list[dict]:
    cards = result_cards(chosen.a, found.query, found.ids, found.similarities)
    if found.first_hit > len(cards) and found.first_hit_item >= 0:
        score = f"{found.first_hit_similarity:.3f}"
        first = card(
            chosen.a,
            found.first_hit_item,
            rank=f"{found.first_hit:,}",
            score=score,
            mark="hit",
            note="first correct item",
        )
        cards += [None, first]
    return [{"cards": cards, "size": 118, "empty": "The gallery is empty."}]


def _every_loss(chosen: Selection, row: int) -> None:
    runs = [run for run in chosen.comparable if same_item(run, chosen.a, row)]
    if len(runs) < 2:
        return
    st.subheader("The same query under every run", anchor=False)
    colours = colours_of([run.name for run in runs])
    lines = []
    for run in runs:
        found = answer(run, chosen.protocol, row, STRIP)
        cards = result_cards(run, row, found.ids, found.similarities)
        if found.first_hit > STRIP and found.first_hit_item >= 0:
            score = f"{found.first_hit_similarity:.3f}"
            cards += [
                None,
                card(
                    run, found.first_hit_item, rank=f"{found.first_hit:,}", score=score, mark="hit"
                ),
            ]
        r1 = percent(metric(run, chosen.protocol, "recall@1"))
        lines.append(
            {
                "title": run.name,
                "colour": colours[run.name],
                "mark": "hit" if found.first_hit == 1 else "miss",
                "detail": f"{rank_sentence(found.first_hit)}  ·  R@1 of the run {r1} %",
                "cards": [c and c | {"label": c["label"]} for c in cards],
                "size": 84,
                "layout": "line",
            }
        )
    image_cards({"rows": lines}, key="every_loss", on_pick=_pick)


def same_item(run, other, row: int) -> bool:
    """Tell whether a row is the same item in two runs."""
    return row < len(run.items) and run.items["path"].iloc[row] == other.items["path"].iloc[row]
