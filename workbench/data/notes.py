"""Notes and tags on items, saved in the run's folder: ``notes.csv``.

A note belongs to an item by its number and its path. When a run is made again, notes follow the
path, as long as a single item has it; items without a path of their own keep theirs by number.
"""

import datetime
import functools
from pathlib import Path

import pandas as pd

from retrieval.errors import UserError
from retrieval.files import atomic_path, remove_temporaries
from retrieval.runs.places import NOTES_FILE
from retrieval.runs.publication import change_notes, notes_lock
from retrieval.runs.run import Run
from retrieval.storage.addresses import shown

OLD_COLUMNS = ["path", "label_name", "tag", "note", "when"]
COLUMNS = ["item", *OLD_COLUMNS]
TAGS = ("label error", "duplicate", "ambiguous", "bad image", "interesting")
LONGEST = 2000


def notes_path(run: Run) -> Path:
    """Return the file of a run's notes, which need not exist."""
    return run.path / NOTES_FILE


def old_notes_path(run: Run) -> Path:
    """Return the file in which version 0.1.0 kept a run's notes, beside its folder."""
    return run.path.parent / f"{run.name}.notes.csv"


def _file(run: Run) -> Path:
    """Return the file that holds a run's notes now, if there are any."""
    old = old_notes_path(run)
    return old if old.exists() and not notes_path(run).exists() else notes_path(run)


def read_notes(run: Run) -> pd.DataFrame:
    """Read all notes of a run.

    Args:
        run: The run whose notes they are.

    Returns:
        Columns ``item``, ``path``, ``label_name``, ``tag``, ``note`` and ``when`` (ISO 8601), all
        str, and ``row`` (Int64; missing if the run has no such item any more).

    Raises:
        UserError: The file cannot be read or lacks a column.
    """
    path = _file(run)
    try:
        notes = pd.read_csv(path, dtype=str, keep_default_na=False)
        if "item" not in notes:  # of version 0.1.0
            notes.insert(0, "item", "")
        notes = notes[COLUMNS]
    except FileNotFoundError:
        return pd.DataFrame(columns=[*COLUMNS, "row"])
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: not a notes file ({reason}); move it away") from error
    return notes.assign(row=_rows(notes, run.items))


def _rows(notes: pd.DataFrame, items: pd.DataFrame) -> pd.Series:
    """Find the row of the item of each note: that of its number and path, or else of its path."""
    numbers, paths = items["item"].astype(str), items["path"].astype(str)
    rows = pd.Series(range(len(items)), dtype="Int64")
    exact = rows.set_axis(pd.MultiIndex.from_arrays([numbers, paths]))
    exact = exact[~exact.index.duplicated()]
    by_path = rows.set_axis(paths)[~paths.duplicated(keep=False).to_numpy()]
    found = exact.reindex(pd.MultiIndex.from_frame(notes[["item", "path"]])).array
    return pd.Series(found, notes.index).fillna(notes["path"].map(by_path))


def note_of(run: Run, row: int) -> tuple[str, str]:
    """Return the tag and the note of an item; both are empty if it has none."""
    notes = read_notes(run)
    found = notes[notes["row"] == row]
    return (found["tag"].iloc[0], found["note"].iloc[0]) if len(found) else ("", "")


def badges(run: Run) -> dict[int, str]:
    """Return the notes of a run as badges for the cards of its items.

    Cached until the notes or the items change. A notes file that cannot be read counts as empty.

    Args:
        run: The run whose notes they are.

    Returns:
        Row -> tag and note in one line.
    """
    try:
        changed = _file(run).stat()
        items = (run.path / "items.parquet").stat()
    except OSError:
        return {}
    return _badges(run, changed.st_mtime_ns, changed.st_size, items.st_mtime_ns)


@functools.lru_cache(maxsize=32)
def _badges(run: Run, *changed: int) -> dict[int, str]:
    try:
        notes = read_notes(run).dropna(subset=["row"])
    except UserError:
        return {}
    lines = notes["tag"].where(notes["note"] == "", notes["tag"] + " · " + notes["note"])
    return {
        int(row): line.removeprefix(" · ") for row, line in zip(notes["row"], lines, strict=True)
    }


def write_note(run: Run, row: int, tag: str, note: str) -> None:
    """Set the tag and the note of an item. If both are empty, the item's entry is removed.

    Args:
        run: The run whose notes they are.
        row: Row of the item.
        tag: One or two words.
        note: Free text; only the first 2,000 characters are saved.

    Raises:
        UserError: The notes file exists but cannot be read, the run is gone, or its folder cannot
            be written to, or published at its URL. Existing notes are not changed.
    """
    item = run.items.iloc[row]
    tag, note = tag.strip()[:100], note.strip()[:LONGEST]

    def change() -> None:
        notes = read_notes(run)
        notes = notes.loc[notes["row"].fillna(-1) != row, COLUMNS]
        if tag or note:
            when = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
            new = [str(item[name]) for name in ("item", "path", "label_name")]
            new = pd.DataFrame([[*new, tag, note, when]], columns=COLUMNS)
            notes = pd.concat([notes, new], ignore_index=True)
        _write(run, notes)

    try:
        with notes_lock(run.path):  # other sessions and processes write too
            if not run.path.is_dir():
                raise UserError(f"{shown(run.path)} is not there any more: the note was not saved")
            remove_temporaries(run.path, NOTES_FILE)  # of a killed process
            change_notes(run.path, change)
    except OSError as error:
        raise UserError(
            f"{notes_path(run)}: the note cannot be written ({error.strerror or error}); make "
            "the folder writable"
        ) from error


def _write(run: Run, notes: pd.DataFrame) -> None:
    if notes.empty:
        notes_path(run).unlink(missing_ok=True)
    else:
        with atomic_path(notes_path(run)) as temporary:
            notes.to_csv(temporary, index=False)
    old_notes_path(run).unlink(missing_ok=True)  # its notes are in the new file
