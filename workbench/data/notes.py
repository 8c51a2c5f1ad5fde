"""Notes and tags on items, saved in a CSV file next to the run: ``<run>.notes.csv``.

Items are identified by their path, so notes remain valid when a run is embedded again.
"""

import datetime
import functools
import threading
from pathlib import Path

import pandas as pd

from retrieval.errors import UserError
from retrieval.files import atomic_path
from retrieval.runs.run import Run

COLUMNS = ["path", "label_name", "tag", "note", "when"]
TAGS = ("label error", "duplicate", "ambiguous", "bad image", "interesting")
LONGEST = 2000
_WRITING = threading.Lock()


def notes_path(run: Run) -> Path:
    """Return the file of a run's notes, which need not exist."""
    return run.path.parent / f"{run.name}.notes.csv"


def read_notes(run: Run) -> pd.DataFrame:
    """Read all notes of a run.

    Args:
        run: The run whose notes they are.

    Returns:
        Columns ``path``, ``label_name``, ``tag``, ``note`` and ``when`` (ISO 8601), all str, and
        ``row`` (Int64; missing if the run has no such item any more).

    Raises:
        UserError: The file cannot be read or lacks a column.
    """
    path = notes_path(run)
    try:
        notes = pd.read_csv(path, dtype=str, keep_default_na=False)[COLUMNS]
    except FileNotFoundError:
        return pd.DataFrame(columns=[*COLUMNS, "row"])
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path}: not a notes file ({error}); move it away") from error
    rows = pd.Series(range(len(run.items)), index=run.items["path"].astype(str))
    rows = rows[~rows.index.duplicated()]
    return notes.assign(row=notes["path"].map(rows).astype("Int64"))


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
        changed = notes_path(run).stat()
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
        UserError: The notes file exists but cannot be read, or the folder cannot be written to.
            Existing notes are not changed.
    """
    item = run.items.iloc[row]
    tag, note = tag.strip()[:100], note.strip()[:LONGEST]
    with _WRITING:
        notes = read_notes(run)[COLUMNS]
        notes = notes[notes["path"] != str(item["path"])]
        if tag or note:
            when = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
            new = [str(item["path"]), str(item["label_name"]), tag, note, when]
            notes = pd.concat([notes, pd.DataFrame([new], columns=COLUMNS)], ignore_index=True)
        try:
            if notes.empty:
                notes_path(run).unlink(missing_ok=True)
                return
            with atomic_path(notes_path(run)) as temporary:
                notes.to_csv(temporary, index=False)
        except OSError as error:
            raise UserError(
                f"{notes_path(run)}: the note cannot be written ({error.strerror or error}); make "
                "the folder writable"
            ) from error
