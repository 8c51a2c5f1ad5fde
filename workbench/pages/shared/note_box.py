"""Tags and notes on items: a button for one item, or a click on any image."""

import streamlit as st

from retrieval.errors import UserError
from retrieval.runs.run import Run
from workbench.components import image_cards
from workbench.components.gallery import query_card
from workbench.data.notes import TAGS, note_of, write_note
from workbench.layout.theme import plain
from workbench.session.clicks import Pick
from workbench.session.navigation import open_query
from workbench.session.switches import MARKED_ROW, MARKING


def note_box(run: Run, row: int) -> None:
    """Draw a button that opens the tag and the note of an item.

    Args:
        run: The run whose notes are edited.
        row: Row of the item.
    """
    try:
        tag, note = note_of(run, row)
    except UserError as error:
        st.error(plain(str(error)))
        return
    title = f"Note: {tag or 'text'}" if tag or note else "Add a note"
    with st.popover(title, icon=":material/edit_note:", key=f"note_{run.name}_{row}"):
        _form(run, row, tag, note)


def mark_switch(run: Run) -> None:
    """Draw the switch that makes clicks on images mark items, and the dialog of a clicked item.

    Args:
        run: The run whose notes are edited.
    """
    marking = st.toggle(
        "Mark items",
        key=MARKING.key,
        help="While this is on, a click on an image opens its tag and note instead of making it "
        "the query.",
    )
    if not marking:
        MARKED_ROW.clear()
    row = MARKED_ROW.get()
    if row is not None and row < len(run.items):
        _dialog(run, row)


def open_or_mark(pick: Pick) -> None:
    """Open the item of a clicked card as the query, or mark it if the switch is on (for callbacks).

    Args:
        pick: The card that was clicked.
    """
    if MARKING.get():
        MARKED_ROW.set(pick.row)
    else:
        open_query(pick.row)


@st.dialog("Mark this item", on_dismiss=MARKED_ROW.clear)
def _dialog(run: Run, row: int) -> None:
    try:
        tag, note = note_of(run, row)
    except UserError as error:
        st.error(plain(str(error)))
        return
    image_cards({"rows": [{"cards": [query_card(run, row)], "size": 200}]}, key="marked")
    _form(run, row, tag, note)


def _form(run: Run, row: int, tag: str, note: str) -> None:
    with st.form(f"note_form_{run.name}_{row}", border=False):
        options = list(dict.fromkeys([*TAGS, *([tag] if tag else [])]))
        new_tag = st.selectbox(
            "Tag",
            options,
            index=options.index(tag) if tag else None,
            accept_new_options=True,
            placeholder="none",
        )
        new_note = st.text_area("Note", note, max_chars=2000)
        saved = st.form_submit_button("Save", type="primary")
    st.caption("Notes are saved in the folder of the run; the Failures page lists them all.")
    if not saved:
        return
    try:
        write_note(run, row, new_tag or "", new_note or "")
    except UserError as error:
        st.error(plain(str(error)))
    else:
        MARKED_ROW.clear()
        st.rerun()
