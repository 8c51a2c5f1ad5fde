"""Parts of an embedding of many images: written one by one, and found again after an interruption.

The parts of ``x.h5`` lie in ``.x.h5.partial/`` beside it: ``plan.json``, which says what they are
parts of, and ``part-000000.npz``, ``part-000001.npz``, ... Each is there as a whole or not at all.
"""

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from retrieval.errors import UserError
from retrieval.files import atomic_path, remove, remove_temporaries, write_json

PLAN = "plan.json"
PART, PARTS = "part-{:06d}.npz", "part-*.npz"


@dataclass(frozen=True)
class Part:
    """Embeddings of consecutive images.

    Attributes:
        rows: int64, (n,), positions of the embedded images in the list.
        embeddings: float32, (n, D).
        views: float32, (V, n, D), one embedding per test-time view; (0, n, D) without views.
        skipped: Path -> reason of images that were left out.
        stamp: What tells the image files from changed ones. Defaults to nothing.
    """

    rows: np.ndarray
    embeddings: np.ndarray
    views: np.ndarray
    skipped: dict[str, str] = field(default_factory=dict)
    stamp: str = ""


@dataclass(frozen=True)
class Parts:
    """The folder of the parts of an output file.

    Attributes:
        folder: The hidden folder beside the output file.
    """

    folder: Path

    @classmethod
    def of(cls, out: Path) -> "Parts":
        """Return the parts of an output file."""
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
        file = self.folder / PLAN
        if self.folder.exists() and self._plan() != dict(plan):
            if not restart and any(self.folder.glob(PARTS)):
                raise UserError(
                    f"{self.folder}: parts of an interrupted command with other images, another "
                    "checkpoint or other settings: give that command again, or start anew with "
                    "--overwrite"
                )
            remove(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        remove_temporaries(self.folder)
        if not file.exists():
            write_json(file, dict(plan))

    def _plan(self) -> dict[str, Any] | None:
        try:
            return dict(json.loads((self.folder / PLAN).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):  # none, or a damaged one
            return None

    def path(self, number: int) -> Path:
        """Return the file of a part."""
        return self.folder / PART.format(number)

    def save(self, number: int, part: Part) -> None:
        """Write a part, as a whole."""
        skipped = json.dumps(part.skipped)
        with atomic_path(self.path(number)) as temporary:
            np.savez(
                temporary,
                rows=part.rows,
                embeddings=part.embeddings,
                views=part.views,
                skipped=np.array(skipped),
                stamp=np.array(part.stamp),
            )

    def read(self, number: int) -> Part:
        """Read a part.

        Raises:
            UserError: It is missing or damaged.
        """
        path = self.path(number)
        try:
            with np.load(path, allow_pickle=False) as file:  # compares the checksums
                skipped = json.loads(str(file["skipped"]))
                return Part(
                    file["rows"], file["embeddings"], file["views"], skipped, str(file["stamp"])
                )
        except Exception as error:  # a damaged file may raise anything
            raise UserError(
                f"{path}: missing or damaged; remove it with `rm -f {shlex.quote(str(path))}` and "
                "give the same command again"
            ) from error

    def has(self, number: int, stamp: str) -> bool:
        """Tell whether a part is there, whole, and of the image files as they are now."""
        if not self.path(number).exists():
            return False
        try:
            return self.read(number).stamp == stamp
        except UserError:
            return False

    def count(self) -> int:
        """Return the number of parts that are there."""
        return len(list(self.folder.glob(PARTS)))

    def __iter__(self) -> Iterator[Part]:
        """Read all parts in order."""
        for number in range(self.count()):
            yield self.read(number)

    def remove(self) -> None:
        """Remove the folder."""
        remove(self.folder)
