"""Notes on items, saved in the folder of the run."""

import io
import shutil
import subprocess
import sys
import threading

import pandas as pd
import pytest
import streamlit

from retrieval.errors import UserError
from tests.workbench.driver import open_page, press
from workbench.components import gallery
from workbench.data import notes
from workbench.pages.failures import oddity_tabs
from workbench.pages.failures import page as failures
from workbench.pages.failures import tabs as failure_tabs
from workbench.session.clicks import Pick
from workbench.session.switches import MARKING


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
    assert notes.notes_path(run) == run.path / "notes.csv"


def test_the_last_note_takes_its_file_along(make_run):
    run = make_run("one")
    notes.write_note(run, 4, "", "")  # there is none
    assert not notes.notes_path(run).exists()
    notes.write_note(run, 4, "duplicate", "")
    notes.write_note(run, 4, "", " ")
    assert not notes.notes_path(run).exists()
    assert notes.read_notes(run).empty


def test_cards_of_items_with_a_note_say_so(make_run):
    run = make_run("one")
    assert "badge" not in gallery.card(run, 4)
    notes.write_note(run, 4, "label error", "a peach")
    notes.write_note(run, 5, "", "odd")
    notes.write_note(run, 6, "duplicate", "")
    found = [gallery.card(run, row).get("badge") for row in (3, 4, 5, 6)]
    assert found == [None, "label error · a peach", "odd", "duplicate"]
    notes.write_note(run, 4, "", "")
    assert "badge" not in gallery.card(run, 4)
    notes.notes_path(run).write_text("something,else\n1,2\n")
    assert "badge" not in gallery.card(run, 5)


def test_notes_follow_the_path_not_the_row(make_run, photos):
    run = make_run("one")
    notes.write_note(run, 4, "duplicate", "")
    turned = photos.iloc[::-1].reset_index(drop=True)
    turned.assign(item=range(len(turned))).to_parquet(run.path / "items.parquet")
    assert notes.note_of(type(run)(run.path), len(photos) - 1 - 4) == ("duplicate", "")


def test_items_without_a_path_keep_their_notes_apart(make_run):
    run = make_run("one")
    items = run.items.assign(path="")
    items.to_parquet(run.path / "items.parquet")
    run = type(run)(run.path)
    notes.write_note(run, 5, "duplicate", "")
    notes.write_note(run, 9, "", "odd")
    assert sorted(notes.read_notes(run)["row"]) == [5, 9]
    assert notes.note_of(run, 5) == ("duplicate", "")


def test_notes_of_version_0_1_0_move_into_the_run_with_the_next_note(make_run):
    run = make_run("one")
    path, label_name = run.items.loc[4, ["path", "label_name"]]
    old = pd.DataFrame(
        [[path, label_name, "duplicate", "", "2025-01-01"]], columns=notes.OLD_COLUMNS
    )
    old.to_csv(notes.old_notes_path(run), index=False)
    assert notes.note_of(run, 4) == ("duplicate", "")
    assert notes.badges(run) == {4: "duplicate"}
    notes.write_note(run, 9, "", "odd")
    assert sorted(notes.read_notes(run)["row"]) == [4, 9]
    assert not notes.old_notes_path(run).exists()


def test_a_run_that_is_gone_is_not_made_again_by_a_note(make_run):
    run = make_run("one")
    items = run.items
    shutil.rmtree(run.path)
    with pytest.raises(UserError, match=str(run.path)):
        notes.write_note(run, int(items.index[0]), "duplicate", "")
    assert not run.path.exists()


WRITE = """
import sys
from pathlib import Path
from retrieval.runs.run import Run
from workbench.data import notes
for row in map(int, sys.argv[2:]):
    notes.write_note(Run(Path(sys.argv[1])), row, "interesting", str(row))
"""


@pytest.mark.slow
def test_several_processes_lose_nothing(make_run):
    run = make_run("one")
    parts = [[str(row) for row in range(start, start + 10)] for start in (0, 10, 20, 30)]
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITE, str(run.path), *part]) for part in parts
    ]
    assert [writer.wait() for writer in writers] == [0] * 4
    assert sorted(notes.read_notes(run)["note"].astype(int)) == list(range(40))


def test_a_foreign_file_is_left_as_it_is(make_run):
    run = make_run("one")
    notes.notes_path(run).write_text("something,else\n1,2\n")
    with pytest.raises(UserError, match=r"one/notes\.csv: "):
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


def refuse(path):
    raise OSError(30, "Read-only file system")


def test_a_folder_that_cannot_be_written_to_is_one_line(make_run, monkeypatch):
    run = make_run("one")
    notes.write_note(run, 4, "duplicate", "")
    monkeypatch.setattr(notes, "atomic_path", refuse)
    monkeypatch.setenv("RETRIEVAL_RUNS", str(run.path.parents[1]))
    with pytest.raises(UserError, match=r"one/notes\.csv: .*Read-only"):
        notes.write_note(run, 4, "", "odd")
    app = open_page("retrieval", item="5")
    app.text_area[0].set_value("odd light")
    press(app, "Save")
    assert "the note cannot be written" in app.error[0].value
    assert notes.read_notes(run)["row"].tolist() == [4]


def test_the_exported_notes_say_under_which_protocol_they_were_listed(make_run, monkeypatch):
    run, exported = make_run("one"), []
    notes.write_note(run, 4, "duplicate", "")
    monkeypatch.setenv("RETRIEVAL_RUNS", str(run.path.parents[1]))
    draw = streamlit.download_button

    def download(label, **options):
        exported.append((label, options["data"]))
        return draw(label, **options)

    monkeypatch.setattr(streamlit, "download_button", download)
    open_page("failures", tab="Notes")
    data = next(data for label, data in exported if label == "Notes (CSV)")
    table = pd.read_csv(io.BytesIO(data))
    about = ["data set", "split", "protocol", "distance", "run", "seed"]
    assert list(table) == [*notes.COLUMNS, *about]
    assert table["tag"].tolist() == ["duplicate"]


@pytest.mark.parametrize("tab", ["Queries", "Suspected label errors", "Notes"])
def test_an_image_of_the_failures_page_is_marked_where_it_is(make_run, monkeypatch, tab):
    run = make_run("one")
    notes.write_note(run, 4, "interesting", "")
    monkeypatch.setenv("RETRIEVAL_RUNS", str(run.path.parents[1]))
    page = {"Suspected label errors": oddity_tabs, "Notes": failure_tabs}.get(tab, failures)

    def cards(data, *, key, on_pick):
        streamlit.button("An image", on_click=on_pick, args=(Pick(4),))

    monkeypatch.setattr(page, "clickable_cards", cards)
    app = open_page("failures", tab=tab)
    app.toggle(key=MARKING.key).set_value(True).run()
    press(app, "An image")
    assert app.title[0].value == "Failures"
    assert app.selectbox[-1].value == "interesting"
    app.text_area[0].set_value("a lime")
    press(app, "Save")
    assert notes.note_of(run, 4) == ("interesting", "a lime")
    assert app.title[0].value == "Failures"
    app.toggle(key=MARKING.key).set_value(False).run()
    press(app, "An image")
    assert app.title[0].value == "Retrieval"
    assert app.query_params["item"] == "4"
