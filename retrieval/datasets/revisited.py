"""The ground truth of ROxford5k and RParis6k (Radenovic et al., CVPR 2018), read safely.

It lists for each query the easy, hard and junk images of the gallery; every other image is wrong.
Three protocols follow from it: what is not asked for is junk, which counts neither as found nor as
a mistake.
"""

import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from retrieval.errors import UserError
from retrieval.validation import check_choice

# Difficulty -> the kinds of images that are relevant, and those that are junk.
DIFFICULTIES = {
    "easy": (("easy",), ("junk", "hard")),
    "medium": (("easy", "hard"), ("junk",)),
    "hard": (("hard",), ("junk", "easy")),
}
KINDS = ("easy", "hard", "junk")
# What the pickle of an array of numbers calls; nothing else is ever looked up.
NUMPY_NAMES = {
    ("numpy", "ndarray"), ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"), ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "scalar"),
    ("numpy.core.numeric", "_frombuffer"), ("numpy._core.numeric", "_frombuffer"),
}  # fmt: skip
# Old protocols spell the bytes of an array as text, and no bytes as a call without arguments.
TEXT_NAMES: dict[tuple[str, str], Callable[..., bytes]] = {
    ("_codecs", "encode"): lambda text, _: str(text).encode("latin1"),
    ("__builtin__", "bytes"): lambda: b"",
    ("builtins", "bytes"): lambda: b"",
}


@dataclass(frozen=True)
class GroundTruth:
    """Queries, gallery, and what is relevant to each query.

    Attributes:
        queries: Name of each query image, without folder and suffix.
        gallery: Name of each gallery image.
        boxes: float64, (q, 4), the part of each query image that is searched with: left, top,
            right and bottom in pixels; NaN where the file gives none.
        lists: For each query, ``easy``, ``hard`` and ``junk`` -> positions in ``gallery``.
    """

    queries: tuple[str, ...]
    gallery: tuple[str, ...]
    boxes: np.ndarray
    lists: tuple[dict[str, np.ndarray], ...]

    @property
    def roles(self) -> np.ndarray:
        """The role of each item, where the queries come first and then the gallery."""
        return np.repeat(["query", "gallery"], [len(self.queries), len(self.gallery)])

    def judgments(self, difficulty: str) -> dict[str, list[np.ndarray]]:
        """Return ``relevance`` and ``ignore`` of :func:`retrieval.evaluation.evaluate`.

        Args:
            difficulty: ``easy``, ``medium`` or ``hard``.

        Returns:
            For each query the rows of items, where the queries come first and then the gallery.

        Raises:
            UserError: The difficulty is none of the three.
        """
        relevant, junk = DIFFICULTIES[check_choice("difficulty", difficulty, DIFFICULTIES)]
        return {
            name: [
                len(self.queries) + np.unique(np.concatenate([one[kind] for kind in kinds]))
                for one in self.lists
            ]
            for name, kinds in (("relevance", relevant), ("ignore", junk))
        }


class _Unpickler(pickle.Unpickler):
    """An unpickler of plain values and arrays of numbers, which calls nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in TEXT_NAMES:
            return TEXT_NAMES[module, name]
        if (module, name) not in NUMPY_NAMES:
            raise UserError(f"its pickle calls {module}.{name}, which lists of images do not need")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def read_ground_truth(path: Path | str) -> GroundTruth:
    """Read ``gnd_roxford5k.pkl`` or ``gnd_rparis6k.pkl``.

    Args:
        path: The file, as its authors publish it.

    Returns:
        The ground truth.

    Raises:
        UserError: There is no such file, its pickle calls more than NumPy's arrays do, or it does
            not hold what the authors' files hold.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            content = _Unpickler(file, encoding="latin1").load()
    except UserError as error:
        raise UserError(f"{path}: refused: {error}") from None
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except Exception as error:  # whatever a damaged pickle makes NumPy or pickle raise
        raise UserError(f"{path}: damaged: {type(error).__name__}") from error
    if not isinstance(content, Mapping) or not {"imlist", "qimlist", "gnd"} <= content.keys():
        raise UserError(f"{path}: holds no imlist, qimlist and gnd, as the authors' files do")
    queries, gallery = (tuple(map(str, content[name])) for name in ("qimlist", "imlist"))
    if len(content["gnd"]) != len(queries):
        raise UserError(f"{path}: {len(content['gnd'])} entries of gnd for {len(queries)} queries")
    entries = [
        _entry(one, f"{path}, query {at}", len(gallery)) for at, one in enumerate(content["gnd"])
    ]
    boxes = np.array([box for _, box in entries]).reshape(len(queries), 4)
    return GroundTruth(queries, gallery, boxes, tuple(lists for lists, _ in entries))


def _entry(entry: Any, where: str, n_gallery: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return the lists and the box of one query."""
    if not isinstance(entry, Mapping) or not set(KINDS) <= entry.keys():
        raise UserError(f"{where}: lacks easy, hard or junk: the file is of the old protocol")
    lists = {}
    for kind in KINDS:
        found = np.asarray(entry[kind], np.int64).reshape(-1)
        if len(found) and (found.min() < 0 or found.max() >= n_gallery):
            raise UserError(f"{where}: {kind} lists an image that is not in the gallery")
        lists[kind] = found
    box = np.asarray(entry.get("bbx", [np.nan] * 4), np.float64).reshape(-1)
    return lists, box if len(box) == 4 else np.full(4, np.nan)
