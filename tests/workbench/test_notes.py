"""Notes on items, kept in a CSV file beside the run."""

import threading

import pandas as pd
import pytest

from retrieval.errors import UserError
from workbench import notes


def test_a_note_is_written_changed_and_removed(make_run):
    run = make_run("one")
    notes.write_note(run, 4, "label error", 'says "orange",\nis a peach 🍑')
    notes.write_note(run, 9, "", "odd")
    assert notes.note_of(run, 4) == ("label error", 'says "orange",\nis a peach 🍑')
    notes.write_note(run, 4, "duplicate", "")
    assert notes.note_of(run, 4) == ("duplicate", "")
    assert sorted(notes.read_notes(run)["row"]) == [4, 9]
    notes.write_note(run, 4, "", "")
    assert notes.note_of(run, 4) == ("", "")
    assert notes.notes_path(run) == run.path.parent / "one.notes.csv"


def test_notes_follow_the_path_not_the_row(make_run, photos):
    run = make_run("one")
    notes.write_note(run, 4, "duplicate", "")
    turned = photos.iloc[::-1].reset_index(drop=True)
    turned.to_parquet(run.path / "items.parquet")
    assert notes.note_of(type(run)(run.path), len(photos) - 1 - 4) == ("duplicate", "")


def test_a_foreign_file_is_left_as_it_is(make_run):
    run = make_run("one")
    notes.notes_path(run).write_text("something,else\n1,2\n")
    with pytest.raises(UserError, match=r"one\.notes\.csv: not a notes file"):
        notes.write_note(run, 0, "duplicate", "")
    assert notes.notes_path(run).read_text() == "something,else\n1,2\n"


def test_two_writers_lose_nothing(make_run):
    run = make_run("one")
    writers = [
        threading.Thread(target=notes.write_note, args=(run, row, "interesting", str(row)))
        for row in range(12)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    saved = pd.read_csv(notes.notes_path(run))
    assert sorted(saved["note"]) == list(range(12))
