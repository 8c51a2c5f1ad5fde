"""The box that marks an item with a tag and a note."""

import streamlit as st

from retrieval.errors import UserError
from retrieval.runs import Run
from workbench.notes import TAGS, note_of, write_note


def note_box(run: Run, row: int) -> None:
    """Draw a button that opens the item's tag and note.

    Args:
        run: The run the note is kept beside.
        row: The item.
    """
    try:
        tag, note = note_of(run, row)
    except UserError as error:
        st.text(str(error))
        return
    title = f"Note: {tag or 'text'}" if tag or note else "Add a note"
    with st.popover(title, icon=":material/edit_note:", key=f"note_{run.name}_{row}"):
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
        st.caption("Kept beside the run; all notes are listed on the Failures page.")
    if saved:
        write_note(run, row, new_tag or "", new_note or "")
        st.rerun()
