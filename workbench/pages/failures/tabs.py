"""Tabs of the Failures page about classes, and the list of notes."""

import numpy as np
import pandas as pd
import streamlit as st

from retrieval.errors import UserError, counted
from workbench import figures
from workbench.analysis import failures
from workbench.analysis.naming import class_names
from workbench.analysis.nearness import nearness_text
from workbench.components.gallery import card, query_groups
from workbench.data.notes import COLUMNS, read_notes
from workbench.figures.style import CONFIG
from workbench.layout.exports import table_csv, with_protocol
from workbench.layout.theme import file_stem, plain
from workbench.pages.failures.class_tables import class_table, pair_table
from workbench.pages.shared.cards import clickable_cards
from workbench.pages.shared.note_box import open_or_mark
from workbench.session.class_choice import (
    chosen_class,
    chosen_pair,
    open_class,
    open_clicked_pair,
    open_pair,
)
from workbench.session.clicks import replaceable_key
from workbench.session.selection import Selection

PAIRS_SHOWN = 5


def _key(name: str, chosen: Selection) -> str:
    """Return a key for this run and protocol, so that another one starts without a selection."""
    return f"{name}_{chosen.dataset}_{chosen.a.name}_{chosen.protocol}"


def pairs_tab(chosen: Selection, table: pd.DataFrame) -> None:
    """Draw which classes are mistaken for which, and the images of the chosen pair.

    Args:
        chosen: The choices made in the sidebar.
        table: See :func:`workbench.analysis.failures.query_table`.
    """
    labels, names = chosen.a.items["label"].to_numpy(), class_names(chosen.a)
    pairs = failures.confused_pairs(table, labels)
    if pairs.empty:
        st.info("No class is mistaken for another: every query is right at rank 1.")
        return
    st.caption(
        f"Which class is mistaken for which, by the nearest item of the "
        f"{pairs['count'].sum():,} failed queries. **→** counts queries of the class on the left "
        "whose nearest item is of the class on the right, **←** the reverse. In the chart, rows "
        "are classes of queries and columns classes of nearest items. Click a row or a cell to "
        "see its images."
    )
    at, pair = chosen_pair(pairs)
    grid = replaceable_key(_key("confusion", chosen))
    left, right = st.container(key="beside").columns([6, 7])
    with left:
        pair_table(pairs, names, _key("pairs", chosen), at, lambda row: open_pair(pairs, row))
    with right.container(key="confusion"):
        st.plotly_chart(
            figures.confusion_map(pairs, names, chosen=pair),
            config=CONFIG,
            key=grid,
            on_select=lambda: open_clicked_pair(grid, pairs),
            selection_mode="points",
            alt="The most confused classes: class of the query by class of its nearest item",
        )
    _pair_images(chosen, table, labels, pair)


def _pair_images(
    chosen: Selection, table: pd.DataFrame, labels: np.ndarray, pair: tuple[int, int]
) -> None:
    wrong, names = failures.failures(table), class_names(chosen.a)
    lines = []
    for asked, answered in (pair, pair[::-1]):
        part = wrong[(wrong["label"] == asked) & (labels[wrong["top"]] == answered)]
        part = part.sort_values("top_similarity", ascending=False)
        shown = part.head(PAIRS_SHOWN)
        cards: list = []
        for query in shown.itertuples():
            similarity = nearness_text(chosen.a, query.top_similarity)
            found = card(chosen.a, query.top, mark="miss", score=similarity, rank=1)
            cards.append([card(chosen.a, query.row, kind="query", score="query"), found])
        lines.append(
            {
                "title": f"{names[asked]} mistaken for {names[answered]}",
                "detail": pairs_shown(len(part), len(shown)),
                "cards": cards,
                "size": 84,
                "empty": "No query is wrong in this direction.",
            }
        )
    clickable_cards({"rows": lines}, key="pair_images", on_pick=open_or_mark)


def pairs_shown(n: int, shown: int) -> str:
    """Say how many queries there are, and which pairs of images are shown.

    Args:
        n: Number of queries of the confused pair of classes.
        shown: Number of queries that are shown, each with its nearest item.
    """
    queries = counted(n, "query", "queries")
    if shown < n:
        return f"{queries}; the {shown} most similar, each next to its nearest item"
    if n > 1:
        return f"{queries}, each next to its nearest item, most similar first"
    return f"{queries}, next to its nearest item" if n else queries


def classes_tab(chosen: Selection, table: pd.DataFrame) -> None:
    """Draw Recall@1 of every class, worst first, and the failures of the chosen class.

    Args:
        chosen: The choices made in the sidebar.
        table: See :func:`workbench.analysis.failures.query_table`.
    """
    classes, names = failures.class_table(table), class_names(chosen.a)
    st.caption(
        f"Recall@1 of each of the {len(classes):,} classes over its own queries, worst first, with "
        "its 95% Wilson interval: if a class has few queries, a low recall may be due to chance. "
        "Click a row to see its failures."
    )
    at, label = chosen_class(classes)
    left, right = st.container(key="beside").columns([6, 7])
    with left:
        class_table(
            classes, names, _key("classes", chosen), at, lambda row: open_class(classes, row)
        )
    part = failures.confident_and_wrong(table[table["label"] == label])
    with right:
        st.markdown(_class_sentence(chosen, part, names, label, int(classes["queries"][at])))
        groups = query_groups(chosen.a, chosen.neighbors, part["row"].head(5), k=5)
        clickable_cards({"groups": groups}, key="class_failures", on_pick=open_or_mark)


def _class_sentence(
    chosen: Selection, part: pd.DataFrame, names: dict[int, str], label: int, queries: int
) -> str:
    """Say how many queries of a class are wrong, and which class they are mistaken for."""
    text = f"**{plain(names[label])}**: {len(part):,} of {queries:,} queries are wrong at rank 1"
    if part.empty:
        return text + "."
    answers = chosen.a.items["label"].to_numpy()[part["top"].to_numpy()]
    others, counts = np.unique(answers, return_counts=True)
    best = counts.argmax()
    if counts[best] == 1 < len(counts):
        return f"{text}, each mistaken for a different class."
    return f"{text}, most often mistaken for {plain(names[int(others[best])])} ({counts[best]:,})."


def notes_tab(chosen: Selection) -> None:
    """Draw every item of the run that has a note, and a button that exports the notes.

    Args:
        chosen: The choices made in the sidebar.
    """
    try:
        notes = read_notes(chosen.a)
    except UserError as error:
        st.text(str(error))
        return
    if notes.empty:
        st.info("There are no notes yet. Turn on “Mark items” above and click an image.")
        return
    st.download_button(
        "Notes (CSV)",
        data=table_csv(with_protocol(notes[COLUMNS], chosen, [chosen.a])),
        file_name=f"{file_stem(chosen)}-notes.csv",
        on_click="ignore",
        icon=":material/download:",
    )
    cards = [
        card(chosen.a, int(n.row), note=" · ".join(filter(None, (n.tag, n.note))))
        for n in notes.dropna(subset=["row"]).itertuples()
    ]
    clickable_cards({"rows": [{"cards": cards, "size": 140}]}, key="notes", on_pick=open_or_mark)
    lost = int(np.sum(notes["row"].isna()))
    if lost:
        note = "note is" if lost == 1 else "notes are"
        st.caption(f"{lost:,} {note} about items that this run no longer has.")
