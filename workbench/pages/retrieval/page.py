"""Retrieval: one query and its results, under run A and under every other run."""

import numpy as np
import pandas as pd
import streamlit as st

from retrieval.errors import counted
from retrieval.evaluation.metrics import metric
from retrieval.evaluation.ranking import BEYOND
from retrieval.report.comparing import estimates
from retrieval.runs.run import NO_EMBEDDINGS, Run
from workbench.analysis.failures import query_table
from workbench.analysis.metadata import shown_columns
from workbench.analysis.nearness import nearness_columns
from workbench.components.gallery import (
    answer_cards,
    grid_columns,
    query_card,
    rank_sentence,
    standing,
)
from workbench.data.images import picture_size
from workbench.data.lookup import Answer, answer
from workbench.layout.exports import export_menu
from workbench.layout.run_colors import run_colors
from workbench.layout.theme import file_stem, page_head, plain
from workbench.pages.retrieval.own_image import own_image
from workbench.pages.retrieval.own_text import own_text, takes_text
from workbench.pages.shared.cards import clickable_cards
from workbench.pages.shared.note_box import note_box
from workbench.pages.shared.query_list import (
    back_button,
    gallery_matches,
    listed_queries,
    place_caption,
    query_to_show,
    search_box,
    step_buttons,
)
from workbench.session.clicks import Pick
from workbench.session.navigation import jump
from workbench.session.parameters import SOURCE
from workbench.session.selection import Selection, selection
from workbench.session.trail import OWN_TEXT, SOURCES, go_to

RESULTS_PER_RUN = 10  # in the lower half of the page


def retrieval_page() -> None:
    """Draw the page."""
    chosen = selection()
    head = page_head("Retrieval", chosen)
    bar = st.container(horizontal=True, vertical_alignment="center", key="toolbar")
    with bar:
        sources = SOURCES if takes_text(chosen) else [one for one in SOURCES if one != OWN_TEXT]
        source = SOURCE.keep(SOURCES[0], sources)
        st.segmented_control(
            "Query", sources, key=SOURCE.key, required=True, label_visibility="collapsed"
        )
    if source != SOURCES[0]:
        with bar:
            back_button()
        if source == OWN_TEXT:
            own_text(chosen)
        else:
            own_image(chosen)
        return
    table = query_table(chosen.neighbors, chosen.a.items["label"].to_numpy())
    rows = listed_queries(chosen, table)
    row = query_to_show(chosen, table, rows)
    with bar:
        search_box(chosen, table)
        step_buttons(rows, row)
    place_caption(chosen, table, rows, row)
    gallery_matches(chosen, table, rows)
    found = answer(chosen.a, chosen.protocol, row, chosen.k)
    with head:
        export_menu(
            name=f"{file_stem(chosen)}-item-{row}",
            about=[chosen.a],
            tables={"Results of this query": lambda: _results_table(chosen, found)},
        )
    _verdict(chosen, found)
    group = {"lead": query_card(chosen.a, row, lines=_details(chosen, row)), "size": 240}
    clickable_cards(
        {"groups": [group | {"rows": [_results(chosen, found)]}]}, key="results", on_pick=_pick
    )
    with st.container(horizontal=True):
        _why_button(found)
        note_box(chosen.a, row)
    _every_run(chosen, row)


def _why_button(found: Answer) -> None:
    st.button(
        "Why did this match?",
        icon=":material/troubleshoot:",
        on_click=jump,
        args=("why",),
        kwargs={"match": int(found.ids[0])} if len(found.ids) else {},
        disabled=not len(found.ids),
    )


def _pick(pick: Pick) -> None:
    go_to(pick.row)


def _details(chosen: Selection, row: int) -> list[str]:
    item = chosen.a.items.iloc[row]
    lines = [str(item["path"])]
    if "super_name" in chosen.a.items:
        lines.append(f"Superclass {item['super_name']}")
    if chosen.a.result(chosen.protocol).protocol.unit == "query":
        lines.append(f"Role: {item['role']}")
    else:
        same = int((chosen.a.items["label"] == item["label"]).sum())
        lines.append(f"{counted(same, 'item')} of this class; role: {item['role']}")
    size = picture_size(chosen.a, row)
    if chosen.a.texts_of and item["role"] == "query":
        lines.append("a text, which searches the images")
    elif size:
        lines.append(f"{size[0]} × {size[1]} px")
    elif chosen.a.thumbnail(row):
        lines.append("image file not found; this is its thumbnail")
    else:
        imported = chosen.a.settings is None
        lines.append("no image" if imported else "image file not found; it has no thumbnail")
    return lines


def _verdict(chosen: Selection, found: Answer) -> None:
    name = plain(chosen.a.items["label_name"].iloc[found.query])
    if not found.known:
        text = f"The items nearest to **{name}**. They have no labels, so none is right or wrong."
    elif not found.scored and not chosen.a.has_embeddings:
        text = f"**{name}** is a gallery item. Searching with it needs embeddings: {NO_EMBEDDINGS}."
    elif not found.scored:
        text = (
            f"**{name}** is a gallery item, not a scored query. Searching with it, itself "
            f"excluded: {plain(rank_sentence(found.first_relevant_rank))}."
        )
    elif found.first_relevant_rank == 1:
        text = f":blue[**✓ Right.**] The nearest item is also **{name}**."
    elif found.first_relevant_rank == 0:
        text = f"The gallery has no item of class **{name}**, so no result can be right."
    elif not len(found.ids):
        text = f":orange[**✗ Wrong.**] The ranked list of **{name}** is empty."
    elif found.first_relevant_rank == BEYOND:
        text = f":orange[**✗ Wrong.**] {plain(rank_sentence(BEYOND).capitalize())}."
    else:
        wrong = plain(chosen.a.items["label_name"].iloc[int(found.ids[0])])
        text = (
            f":orange[**✗ Wrong.**] **{name}** is mistaken for **{wrong}**; the first relevant "
            f"item is at rank **{found.first_relevant_rank:,}**."
        )
    with st.container(key="verdict"):
        st.markdown(text)


def _results(chosen: Selection, found: Answer) -> dict:
    return {
        "cards": answer_cards(chosen.a, found, "first relevant item"),
        "empty": "The gallery is empty." if chosen.a.has_embeddings else "No ranked list.",
        "layout": "grid",
        "columns": grid_columns(chosen.k),
        "size": 150,
    }


def _results_table(chosen: Selection, found: Answer) -> pd.DataFrame:
    items = chosen.a.items.iloc[found.ids]
    return pd.DataFrame(
        {
            "rank": np.arange(1, len(items) + 1),
            **nearness_columns(chosen.a, found.similarities),
            **({"correct": found.relevant} if found.known else {}),
            "class": items["label_name"].to_numpy(),
            "path": items["path"].to_numpy(),
            "query": str(chosen.a.items["path"].iloc[found.query]),
            "run": chosen.a.name,
        }
    ).join(items[shown_columns(chosen.a)].reset_index(drop=True), rsuffix=" of the item")


def _every_run(chosen: Selection, row: int) -> None:
    runs = [run for run in chosen.comparable if _same_item(run, chosen.a, row)]
    if len(runs) < 2:
        return
    st.subheader("The same query under every run", anchor=False)
    colors = run_colors(chosen.runs)
    lines, shown = [], metric(chosen.metric)
    for run in runs:
        found = answer(run, chosen.protocol, row, RESULTS_PER_RUN)
        value = estimates([run], chosen.protocol, [chosen.metric])[chosen.metric].value
        lines.append(
            {
                "title": run.name,
                "color": colors[run.name],
                **standing(found, f"the run's {shown.title}: {shown.format_with_unit(value)}"),
                "cards": answer_cards(run, found),
                "size": 88,
                "layout": "line",
            }
        )
    clickable_cards({"rows": lines}, key="every_run", on_pick=_pick)
    if chosen.others:
        reasons = dict.fromkeys(reason for reason, _ in chosen.others)
        st.caption(f"Runs that cannot be compared are not shown: {plain('; '.join(reasons))}.")


def _same_item(run: Run, other: Run, row: int) -> bool:
    return row < len(run.items) and run.items["path"].iloc[row] == other.items["path"].iloc[row]
