"""Parts of an embedding of many images: written one by one, and found again after an interruption.

The parts of ``x.h5`` lie in ``.x.h5.partial/`` beside it: ``plan.json``, which says what they are
parts of, and for each part ``part-00007.npy`` with its vectors and ``part-00007.json``, which is
written last and says which images they are of. Without a record that fits its vectors, a part is
not there. So any number of processes, on one machine or on several that share the disk, may write
parts at the same time, even the same one.
"""

import contextlib
import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from retrieval.errors import UserError
from retrieval.files import (
    atomic_path,
    checksum,
    remove,
    remove_temporaries,
    write_json,
    write_text,
)

PLAN = "plan.json"
PART, VIEWS, RECORD, RECORDS = (
    "part-{:05d}.npy",
    "part-{:05d}.views.npy",
    "part-{:05d}.json",
    "part-*.json",
)


@dataclass(frozen=True)
class Part:
    """Embeddings of consecutive images.

    Attributes:
        rows: int64, (n,), positions of the embedded images in the list.
        embeddings: float32, (n, D).
        views: float32, (V, n, D), one embedding per test-time view; (0, n, D) without views.
        skipped: Path -> reason of images that were left out. Defaults to none.
        stamp: What tells the image files from changed ones. Defaults to nothing.
    """

    rows: np.ndarray
    embeddings: np.ndarray
    views: np.ndarray
    skipped: dict[str, str] = field(default_factory=dict)
    stamp: str = ""


@dataclass(frozen=True)
class Record:
    """What is known of a part without its vectors.

    Attributes:
        rows: int64, (n,), positions of the embedded images in the list.
        width: Dimension D of the vectors.
        views: Number of test-time views that are stored one by one; 0 without views.
        skipped: Path -> reason of images that were left out.
        stamp: What tells the image files from changed ones.
        checksum: CRC-32 of the files of the vectors.
    """

    rows: np.ndarray
    width: int
    views: int
    skipped: dict[str, str]
    stamp: str
    checksum: int


@dataclass(frozen=True)
class Parts:
    """The folder of the parts of an output.

    Attributes:
        folder: The hidden folder beside the output.
    """

    folder: Path

    @classmethod
    def of(cls, out: Path) -> "Parts":
        """Return the parts of an output."""
        return cls(out.with_name(f".{out.name}.partial"))

    def begin(self, plan: Mapping[str, Any], *, restart: bool = False) -> None:
        """Make the folder, or find the one of an interrupted command with the same plan.

        Args:
            plan: What is embedded and how, as JSON.
            restart: Whether to remove the parts of another plan. Defaults to False: they are
                refused.

        Raises:
            UserError: The folder holds parts of another plan.
        """
        if self.folder.exists() and not self.are_of(plan):
            if not restart and any(self.folder.glob(RECORDS)):
                raise UserError(
                    f"{self.folder}: parts of an interrupted command with other images, another "
                    "checkpoint or other settings: give that command again, or start anew with "
                    "--overwrite"
                )
            remove(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        remove_temporaries(self.folder)
        if not (self.folder / PLAN).exists():
            write_json(self.folder / PLAN, dict(plan))

    def are_of(self, plan: Mapping[str, Any]) -> bool:
        """Tell whether the folder is there and holds parts of a plan."""
        try:
            found = json.loads((self.folder / PLAN).read_text(encoding="utf-8"))
        except (OSError, ValueError):  # none, or a damaged one
            return False
        return bool(found == dict(plan))

    def path(self, number: int) -> Path:
        """Return the file of the vectors of a part."""
        return self.folder / PART.format(number)

    def save(self, number: int, part: Part) -> None:
        """Write a part: its vectors, and then its record."""
        arrays = [part.embeddings] + ([part.views] if len(part.views) else [])
        value = 0
        with contextlib.ExitStack() as files:
            written = []
            for path, array in zip(self._arrays(number, 2), arrays, strict=False):
                written.append(files.enter_context(atomic_path(path)))
                np.save(written[-1], np.ascontiguousarray(array, np.float32))
            value = checksum(written)
        record = {
            "rows": _as_ranges(part.rows),
            "width": part.embeddings.shape[1],
            "views": len(part.views),
            "skipped": part.skipped,
            "stamp": part.stamp,
            "checksum": value,
        }
        write_text(self.folder / RECORD.format(number), json.dumps(record) + "\n")

    def record(self, number: int) -> Record:
        """Read what is known of a part.

        Raises:
            UserError: It is missing or damaged.
        """
        with self._naming(number):
            path = self.folder / RECORD.format(number)
            found = json.loads(path.read_text(encoding="utf-8"))
            found["rows"] = _from_ranges(found["rows"])
            return Record(**found)

    def read(self, number: int) -> Part:
        """Read a part.

        Raises:
            UserError: It is missing or damaged.
        """
        record = self.record(number)
        with self._naming(number):
            files = self._arrays(number, 1 + bool(record.views))
            if checksum(files) != record.checksum:
                raise ValueError("another checksum")
            embeddings, *views = (np.load(path, allow_pickle=False) for path in files)
            none = np.empty((0, *embeddings.shape), np.float32)
            each = views[0] if views else none
            return Part(record.rows, embeddings, each, record.skipped, record.stamp)

    def _arrays(self, number: int, count: int) -> list[Path]:
        return [self.folder / name.format(number) for name in (PART, VIEWS)][:count]

    @contextlib.contextmanager
    def _naming(self, number: int) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # a damaged file may raise anything
            path = self.path(number)
            raise UserError(
                f"{path}: missing or damaged; remove it with `rm -f {shlex.quote(str(path))}` and "
                "give the same command again"
            ) from error

    def has(self, number: int, stamp: str) -> bool:
        """Tell whether a part is there, whole, and of the image files as they are now."""
        if not (self.folder / RECORD.format(number)).exists():
            return False
        try:
            return self.read(number).stamp == stamp
        except UserError:
            return False

    def count(self) -> int:
        """Return the number of parts that are there."""
        return len(list(self.folder.glob(RECORDS)))

    def read_all(self, total: int) -> Iterator[Part]:
        """Read the first parts, so many, in order."""
        for number in range(total):
            yield self.read(number)

    def remove(self) -> None:
        """Remove the folder."""
        remove(self.folder)


def _as_ranges(rows: np.ndarray) -> list[list[int]]:
    """Return increasing numbers as ranges [first, end): few, as hardly any image is left out."""
    if not len(rows):
        return []
    gaps = np.flatnonzero(np.diff(rows) != 1) + 1
    return [[int(each[0]), int(each[-1]) + 1] for each in np.split(rows, gaps)]


def _from_ranges(ranges: list[list[int]]) -> np.ndarray:
    return np.concatenate([np.empty(0, np.int64), *(np.arange(*each) for each in ranges)])
