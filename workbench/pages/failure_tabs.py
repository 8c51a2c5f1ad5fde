"""Tabs of the Failures page about classes, and the list of notes."""

import numpy as np
import pandas as pd
import streamlit as st

from retrieval.errors import UserError
from workbench import failures as analyses
from workbench import figures
from workbench.components import image_cards
from workbench.exports import table_csv
from workbench.figures.style import CONFIG
from workbench.gallery import card, query_groups
from workbench.notes import COLUMNS, read_notes
from workbench.pages.note_box import open_or_mark
from workbench.state import Selection
from workbench.theme import class_names, file_stem, plain

PAIRS_SHOWN = 5
ONE_ROW = {
    "on_select": "rerun",
    "selection_mode": "single-row-required",
    "selection_default": {"selection": {"rows": [0]}},
    "hide_index": True,
}


def _key(name: str, chosen: Selection) -> str:
    """Return a key of one's own per run and protocol: a selection ends with what it was made in."""
    return f"{name}_{chosen.dataset}_{chosen.a.name}_{chosen.protocol}"


def _selected(event: dict, n: int) -> int:
    """Return the selected row of a table of n rows; the first if a rewritten run has fewer now."""
    rows = event["selection"]["rows"]
    return rows[0] if rows and rows[0] < n else 0


def pairs_tab(chosen: Selection, table: pd.DataFrame) -> None:
    """Draw which classes are taken for which, and the images of the chosen pair."""
    labels, names = chosen.a.items["label"].to_numpy(), class_names(chosen.a)
    pairs = analyses.confused_pairs(table, labels)
    if pairs.empty:
        st.info("No class is taken for another: every query is right at rank 1.")
        return
    left, right = st.columns([5, 6], gap="large")
    with left:
        at = _pair_table(pairs, names, _key("pairs", chosen))
    with right.container(key="confusion"):
        square = st.plotly_chart(
            figures.confusion_map(pairs, names),
            config=CONFIG,
            key=_key("square", chosen),
            on_select="rerun",
            selection_mode="points",
            alt="The most confused classes, query by answer",
        )
    points = square["selection"]["points"]
    if points and points[0].get("customdata"):
        a, b = (int(x) for x in points[0]["customdata"])
    else:
        a, b = int(pairs["a"][at]), int(pairs["b"][at])
    _pair_images(chosen, table, labels, (a, b))


def _pair_table(pairs: pd.DataFrame, names: dict[int, str], key: str) -> int:
    """Draw the pairs as a table; returns the position of the selected one."""
    shown = pd.DataFrame(
        {
            "Class": pairs["a"].map(names),
            "→": pairs["a_as_b"],
            "←": pairs["b_as_a"],
            "Other class": pairs["b"].map(names),
        }
    )
    narrow = st.column_config.NumberColumn(width=40)
    wide = st.column_config.TextColumn(width=150)
    columns = {"→": narrow, "←": narrow, "Class": wide, "Other class": wide}
    event = st.dataframe(shown, height=480, key=key, column_config=columns, **ONE_ROW)
    st.caption(
        "→ queries of the class answered by the other class at rank 1; ← the reverse. Sorted by "
        "the sum."
    )
    return _selected(event, len(pairs))


def _pair_images(chosen: Selection, table: pd.DataFrame, labels, pair: tuple[int, int]) -> None:
    wrong, names = analyses.failures(table), class_names(chosen.a)
    lines = []
    for asked, answered in (pair, pair[::-1]):
        part = wrong[(wrong["label"] == asked) & (labels[wrong["top"]] == answered)]
        part = part.sort_values("top_similarity", ascending=False)
        shown = part.head(PAIRS_SHOWN)
        cards: list = []
        for query in shown.itertuples():
            similarity = f"{query.top_similarity:.3f}"
            found = card(chosen.a, query.top, mark="miss", score=similarity, rank=1)
            cards.append([card(chosen.a, query.row, kind="query", note="query"), found])
        lines.append(
            {
                "title": f"{names[asked]}, answered by {names[answered]}",
                "detail": pairs_shown(len(part), len(shown)),
                "cards": cards,
                "size": 100,
                "empty": "Never in this direction.",
            }
        )
    image_cards({"rows": lines}, key="pair_images", on_pick=open_or_mark)


def pairs_shown(n: int, shown: int) -> str:
    """Say how many queries there are, and what the pairs of images below are."""
    what = f"{n:,} quer{'y' if n == 1 else 'ies'}"
    if shown < n:
        return f"{what}; the {shown} most similar, each beside its nearest item"
    return f"{what}, each beside its nearest item, most similar first" if n else what


def classes_tab(chosen: Selection, table: pd.DataFrame) -> None:
    """Draw Recall@1 of every class, worst first, and the failures of the chosen class."""
    classes, names = analyses.class_table(table), class_names(chosen.a)
    shown = pd.DataFrame(
        {
            "Class": classes["label"].map(names),
            "R@1, %": 100 * classes["recall"],
            "95% from": 100 * classes["low"],
            "to": 100 * classes["high"],
            "Queries": classes["queries"],
        }
    )
    number = st.column_config.NumberColumn(format="%.1f", width=60)
    bar = st.column_config.ProgressColumn(format="%.1f", min_value=0, max_value=100, width=130)
    wide = st.column_config.TextColumn(width=140)
    left, right = st.columns([5, 7], gap="large")
    with left:
        columns = {"Class": wide, "R@1, %": bar, "95% from": number, "to": number}
        columns["Queries"] = st.column_config.NumberColumn(width=60)
        key = _key("classes", chosen)
        event = st.dataframe(shown, height=560, key=key, column_config=columns, **ONE_ROW)
        st.caption("Wilson intervals: where a class has few queries, a low recall may be chance.")
    label = int(classes["label"][_selected(event, len(classes))])
    part = analyses.confident_and_wrong(table[table["label"] == label])
    with right:
        st.markdown(f"**{plain(names[label])}**: {len(part):,} failures")
        groups = query_groups(chosen.a, chosen.neighbours, part["row"].head(5), k=6)
        image_cards({"groups": groups}, key="class_failures", on_pick=open_or_mark)


def notes_tab(chosen: Selection, table: pd.DataFrame) -> None:
    """Draw every marked item of the run, and a button that exports them."""
    try:
        notes = read_notes(chosen.a)
    except UserError as error:
        st.text(str(error))
        return
    if notes.empty:
        st.info("Nothing is marked yet: turn on “Mark items” above and click an image.")
        return
    st.download_button(
        "Notes (CSV)",
        data=table_csv(notes[COLUMNS]),
        file_name=f"{file_stem(chosen)}-notes.csv",
        on_click="ignore",
        icon=":material/download:",
    )
    cards = [
        card(chosen.a, int(n.row), note=" · ".join(filter(None, (n.tag, n.note))))
        for n in notes.dropna(subset=["row"]).itertuples()
    ]
    image_cards({"rows": [{"cards": cards, "size": 140}]}, key="notes", on_pick=open_or_mark)
    lost = int(np.sum(notes["row"].isna()))
    if lost:
        st.caption(f"{lost:,} notes are about items that this run does not hold any more.")
