"""The passes of k-means over points on a shared disk, in parts that other processes go through.

What a pass needs is written to the folder of the points: centers, and the state of all points. A
part's answer is a file too, written beside and renamed. Points are assigned in the same chunks as
on one machine, and clusters are summed in whole numbers
(:mod:`retrieval.evaluation.kmeans`), so the clusters are the same for any number of parts.
"""

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import UserError
from retrieval.evaluation.kmeans import CHUNK, Moves, Passes, State, passes_here, total_rows
from retrieval.evaluation.search.shard_files import Workers
from retrieval.evaluation.search.threads import worker_pool


@dataclass(frozen=True)
class _Parts:
    """The parts of the points, and where the files of a pass are.

    Attributes:
        points: File of the points, ``.npy``.
        n: Number of points.
        workers: Who goes through the parts.
        folder: Folder of the passes' files.
    """

    points: Path
    n: int
    workers: Workers
    folder: Path

    def ranges(self) -> list[tuple[int, int]]:
        """Return begin and end of every part: whole chunks, two parts per call at once."""
        chunks = -(-self.n // CHUNK)
        size = -(-chunks // (2 * self.workers.at_once)) * CHUNK
        return [(a, min(a + size, self.n)) for a in range(0, self.n, size)]

    def go(
        self, function: Any, given: Mapping[str, np.ndarray], **more: Any
    ) -> Iterator[tuple[slice, dict[str, np.ndarray]]]:
        """Let every part be gone through; yield its points and its answer, part by part."""
        # No pass ever has the folder of another: a node that was given up may write to it late.
        here = self.folder / uuid4().hex
        here.mkdir(parents=True)
        for name, values in given.items():
            np.save(here / f"{name}.npy", values)
        calls = [
            {"points": str(self.points.resolve()), "folder": str(here.resolve())}
            | {"begin": a, "stop": b, "threads": self.workers.threads, **more}
            for a, b in self.ranges()
        ]
        for _ in self.workers.run(function, calls):
            pass
        for a, b in self.ranges():
            file = here / f"part-{a}.npz"
            if not file.is_file():
                raise UserError(
                    f"{file}: not written: every machine must see this folder under this name; "
                    "run the same command to continue"
                )
            with np.load(file, allow_pickle=False) as arrays:
                yield slice(a, b), {name: arrays[name] for name in arrays.files}
        shutil.rmtree(here)


def passes_in_parts(points: Path, n: int, workers: Workers) -> Passes:
    """Return the passes over points in a file.

    Args:
        points: Their file, ``.npy``, float32, (n, d), which all workers see.
        n: Number of points.
        workers: Who goes through the parts.
    """
    folder = points.parent / f"{points.stem}-passes"
    shutil.rmtree(folder, ignore_errors=True)  # of a killed process
    parts = _Parts(points, n, workers, folder)

    def assign(centers: np.ndarray, moves: Moves | None, state: State) -> None:
        given: dict[str, np.ndarray] = {"best": state.best, "winner": state.winner}
        given["second"], given["centers"] = state.second, centers
        if moves is not None:
            given |= {"moved": moves.moved, "far": moves.far, "slack": np.array(moves.slack)}
        for at, found in parts.go(assign_part, given):
            state.best[at], state.winner[at] = found["best"], found["winner"]
            state.second[at] = found["second"]

    def total(
        winner: NDArray[np.int64], slots: NDArray[np.int64], scale: float
    ) -> NDArray[np.int64]:
        sums: NDArray[np.int64] | None = None
        given: dict[str, np.ndarray] = {"winner": winner, "slots": slots}
        for _, found in parts.go(total_part, given, scale=scale):
            sums = found["sums"] if sums is None else sums + found["sums"]
        assert sums is not None  # there is at least one part
        return sums

    return Passes(assign, total)


def assign_part(points: str, folder: str, begin: int, stop: int, threads: int | None) -> None:
    """Assign one part of the points again, see :func:`retrieval.evaluation.kmeans.assign_rows`."""
    given = {path.stem: np.load(path, mmap_mode="r") for path in Path(folder).glob("*.npy")}
    at = slice(begin, stop)
    state = State(*(np.array(given[name][at]) for name in ("best", "winner", "second")))
    with worker_pool(threads) as pool:
        rows = np.load(points, mmap_mode="c")[at]
        moves = None
        if "moved" in given:
            moved, far = (np.array(given[name]) for name in ("moved", "far"))
            moves = Moves(moved, far, float(given["slack"]))
        passes_here(rows, pool).assign(np.array(given["centers"]), moves, state)
    _write(folder, begin, best=state.best, winner=state.winner, second=state.second)


def total_part(
    points: str, folder: str, begin: int, stop: int, threads: int | None, scale: float
) -> None:
    """Sum the points of one part by cluster, see :func:`retrieval.evaluation.kmeans.total_rows`."""
    del threads  # one pass at the speed of the disk
    winner, slots = (np.load(Path(folder, f"{name}.npy")) for name in ("winner", "slots"))
    rows = np.load(points, mmap_mode="c")[begin:stop]
    _write(folder, begin, sums=total_rows(rows, winner[begin:stop], slots, scale))


def _write(folder: str, begin: int, **arrays: np.ndarray) -> None:
    # Not brought to the disk: a pass that the power cuts short is gone through again.
    temporary = Path(folder, f".{os.getpid()}-{begin}.npz")
    np.savez(temporary, allow_pickle=False, **arrays)
    temporary.replace(Path(folder, f"part-{begin}.npz"))
