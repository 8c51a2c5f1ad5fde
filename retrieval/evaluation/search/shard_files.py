"""Finished shards of a search as files, so that a killed search continues where it was.

A *plan* is a folder that holds all that a shard needs besides the embeddings: the queries, the
gallery, what is relevant and what is left out, as arrays that are mapped into memory and never
read whole. Its name is a digest of these and of the embeddings' content. A shard's result is
written beside and renamed, under the number of the shard: whoever finds it need not compute it
again, and whoever computes it twice writes the same. So shards may be computed by this process or
by tasks of a cluster that share the folder, in any order.
"""

import itertools
import json
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from retrieval.errors import UserError
from retrieval.evaluation.protocol import Sides
from retrieval.evaluation.search.lists import Lists
from retrieval.evaluation.search.plan import PLAIN, BlockSizes, Judgments, Ranking, Search
from retrieval.evaluation.search.search import empty_ranking, search
from retrieval.evaluation.search.threads import worker_pool
from retrieval.files import atomic_folder, atomic_path, digest, write_json
from retrieval.progress import progress_bar
from retrieval.validation import DEFAULT_DISTANCE

PLAN = "plan.json"
SHARDS = "shard-*.npz"  # files of finished shards
VERSION = 1  # of the files; those of another version are not used
PART = 1 << 22  # values of an array that are hashed at a time

Call = Mapping[str, Any]
# Calls a function with each of some keyword arguments, and yields as the calls finish.
Run = Callable[[Callable[..., Any], Sequence[Call]], Iterator[None]]


def run_here(function: Callable[..., Any], calls: Sequence[Call]) -> Iterator[None]:
    """Call a function in this process, with one set of arguments after the other."""
    for call in calls:
        function(**call)
        yield


@dataclass(frozen=True)
class Workers:
    """Who computes the shards.

    Attributes:
        run: Calls a function for every shard. Defaults to this process.
        at_once: How many calls run at the same time, for which a search is divided. Defaults to 1.
        threads: Threads of one call. Defaults to one per core that it may use.
        device: ``cpu``, or ``gpu`` for tile products and selection on the first GPU of a call.
            Defaults to ``cpu``.
    """

    run: Run = run_here
    at_once: int = 1
    threads: int | None = None
    device: str = "cpu"


HERE = Workers()


@dataclass(frozen=True)
class Plan:
    """A search that is divided, in a folder; see the module.

    Attributes:
        folder: The folder.
        distance: Name of the distance.
        k: Number of neighbors wanted.
        parts: Ends of the parts of the gallery, beginning with 0.
        groups: For each group of queries, the ends of its blocks in the order of the queries,
            beginning with the start of the first.
        metrics: Names of metrics to score besides those of every search.
        excluded: How many lists of items are left out.
    """

    folder: Path
    distance: str
    k: int
    parts: tuple[int, ...]
    groups: tuple[tuple[int, ...], ...]
    metrics: tuple[str, ...]
    excluded: int

    def __len__(self) -> int:
        return (len(self.parts) - 1) * len(self.groups)

    def file(self, number: int) -> Path:
        """Return the file of a shard; those of one group of queries have neighboring numbers."""
        return self.folder / f"shard-{number:05d}.npz"

    def unfinished(self) -> list[int]:
        """Return the numbers of the shards without a file."""
        there = {path.name for path in self.folder.glob(SHARDS)}
        return [number for number in range(len(self)) if self.file(number).name not in there]

    def shards_of(self, group: int) -> range:
        """Return the numbers of the shards of a group of queries."""
        size = len(self.parts) - 1
        return range(group * size, (group + 1) * size)

    def part_of(self, number: int) -> range:
        """Return the gallery positions of a shard."""
        at = number % (len(self.parts) - 1)
        return range(self.parts[at], self.parts[at + 1])

    def blocks(self, group: int) -> list[np.ndarray]:
        """Return the blocks of a group, each as positions among the queries."""
        order = _mapped(self.folder, "order")
        return [np.array(order[a:b]) for a, b in itertools.pairwise(self.groups[group])]

    def job(self, embeddings: Path) -> Search:
        """Return the search, ready to compare any of its queries with any part.

        Args:
            embeddings: File of the embeddings, ``.npy``.
        """
        arrays = {path.stem: _mapped(self.folder, path.stem) for path in self.folder.glob("*.npy")}
        lists = [
            Lists(*(arrays[f"{name}-{field}"] for field in ("pool", "begin", "stop")))
            for name in ("relevant", *(f"excluded{i}" for i in range(self.excluded)))
        ]
        return Search(
            np.load(embeddings, mmap_mode="r"),
            arrays["codes"],
            Sides("", "", arrays["queries"], arrays["gallery"], arrays["own"]),
            self.distance,
            self.k,
            BlockSizes(),
            Judgments(tuple(lists[1:]), lists[0], arrays.get("grades"), self.metrics),
            center=np.array(arrays["center"]),
        )


def _mapped(folder: Path, name: str) -> np.ndarray:
    # Copy on write: the compiled loops take arrays that may be written to, and none is.
    array: np.ndarray = np.load(folder / f"{name}.npy", mmap_mode="c")
    return array


def make_plan(root: Path, job: Search, embeddings: Path, shards: int) -> Plan:
    """Write the plan of a search, or find it if it was written before.

    Args:
        root: Folder of plans.
        job: The search.
        embeddings: File of its embeddings.
        shards: Number of parts of the gallery.

    Returns:
        The plan.
    """
    from retrieval.evaluation.search.shards import parts_of  # imports Numba

    groups, order, at = [], [], 0
    for blocks in job.groups():
        order += blocks
        groups.append([at, *(at + np.cumsum([len(block) for block in blocks])).tolist()])
        at = groups[-1][-1]
    parts = parts_of(len(job.sides.gallery), shards)
    facts = {
        "version": VERSION,
        "distance": job.distance,
        "k": job.k,
        "parts": [0, *(part.stop for part in parts)],
        "groups": groups,
        "metrics": job.judgments.metrics,
        "excluded": len(job.judgments.excluded),
    }
    arrays = {
        "codes": job.codes,
        "queries": job.sides.queries,
        "gallery": job.sides.gallery,
        "own": job.sides.own,
        "order": np.concatenate(order),
    }
    for name, lists in (
        ("relevant", job.relevant),
        *((f"excluded{i}", lists) for i, lists in enumerate(job.judgments.excluded)),
    ):
        fields = {"pool": lists.pool, "begin": lists.begin, "stop": lists.stop}
        arrays |= {f"{name}-{field}": values for field, values in fields.items()}
    if job.judgments.grades is not None:
        arrays["grades"] = job.judgments.grades
    folder = root / _name_of(facts, arrays, embeddings)
    if not folder.is_dir():
        with atomic_folder(folder) as temporary:
            for name, values in arrays.items():
                kind = np.float64 if name == "grades" else np.int64
                np.save(temporary / f"{name}.npy", np.asarray(values, kind))
            np.save(temporary / "center.npy", job.gallery.center)
            write_json(temporary / PLAN, facts)
    return read_plan(folder)


def _name_of(facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray], embeddings: Path) -> str:
    """Return a digest of all that the results of the shards follow from."""
    value = zlib.crc32(json.dumps(facts, default=list).encode())
    for name, values in arrays.items():
        value = zlib.crc32(name.encode(), value)
        for start in range(0, len(values), PART):
            value = zlib.crc32(values[start : start + PART].tobytes(), value)
    return f"{value:08x}-{digest(embeddings):08x}"


def read_plan(folder: Path) -> Plan:
    """Read a plan that :func:`make_plan` has written."""
    facts = json.loads((folder / PLAN).read_text(encoding="utf-8"))
    return Plan(
        folder=folder,
        distance=facts["distance"],
        k=facts["k"],
        parts=tuple(facts["parts"]),
        groups=tuple(tuple(ends) for ends in facts["groups"]),
        metrics=tuple(facts["metrics"]),
        excluded=facts["excluded"],
    )


def compute_shard(
    folder: str, embeddings: str, number: int, threads: int | None = None, device: str = "cpu"
) -> None:
    """Compute one shard of a plan and write its file, unless it is there.

    Args:
        folder: Folder of the plan.
        embeddings: File of the embeddings.
        number: Number of the shard.
        threads: Number of threads. Defaults to one per core that this process may use.
        device: See :class:`Workers`. Defaults to ``cpu``.

    Raises:
        UserError: There is no GPU to search on.
    """
    from retrieval.evaluation.search import device as devices  # imports Numba, and no TensorFlow
    from retrieval.evaluation.search.shards import count_part

    plan = read_plan(Path(folder))
    if plan.file(number).exists():
        return
    job, blocks = plan.job(Path(embeddings)), plan.blocks(number // (len(plan.parts) - 1))
    part = plan.part_of(number)
    if device == "gpu":
        found = devices.count_part_on(job, blocks, part, devices.first_gpu())
    else:
        with worker_pool(threads) as pool:
            found = count_part(job, blocks, part, pool)
    with atomic_path(plan.file(number)) as temporary:
        np.savez(
            temporary,
            allow_pickle=False,
            ahead=_narrowed(found.ahead),
            ids=found.ids.astype(np.int32),
            exact=found.exact,
            n_excluded=_narrowed(found.n_excluded),
        )


def _narrowed(counts: np.ndarray) -> np.ndarray:
    """Return counts as the smallest type that holds them: there is one per pair of a class."""
    return counts.astype(np.min_scalar_type(counts.max(initial=0)))


@dataclass(frozen=True)
class ShardedSearch:
    """A search that is divided into shards; called as :func:`retrieval.evaluation.search.search`.

    Attributes:
        root: Folder for what is kept until the shards are merged; the caller removes it then.
        shards: Number of parts of the gallery. Defaults to None, see
            :func:`retrieval.evaluation.search.shards.default_shards`; in this process, a search
            that computes each similarity once is not divided
            (:func:`retrieval.evaluation.search.symmetric.suits`).
        workers: Who computes the shards. Defaults to this process.
        progress: Whether to show a bar. Defaults to False.
    """

    root: Path
    shards: int | None = None
    workers: Workers = HERE
    progress: bool = False

    def __call__(
        self,
        embeddings: np.ndarray,
        codes: np.ndarray,
        sides: Sides,
        distance: str = DEFAULT_DISTANCE,
        k: int = 64,
        *,
        pool: ThreadPoolExecutor,
        judgments: Judgments = PLAIN,
        advance: Callable[[int], None] | None = None,
    ) -> Ranking:
        """Find the nearest items and the ranks of all positives; see :func:`search`."""
        from retrieval.evaluation.search import symmetric  # imports Numba
        from retrieval.evaluation.search.shards import default_shards, merge_parts

        shards = self.shards
        if shards is None:
            shards = default_shards(len(sides.queries), len(sides.gallery))
            shards = max(shards, 2 * self.workers.at_once if self.workers.at_once > 1 else 1)
            # Computing each similarity once saves more time than finished shards save after a kill.
            if self.workers == HERE and (
                shards == 1 or symmetric.suits(embeddings, codes, sides, k, BlockSizes(), judgments)
            ):
                return search(
                    embeddings,
                    codes,
                    sides,
                    distance,
                    k,
                    pool=pool,
                    judgments=judgments,
                    advance=advance,
                )
        file = self.file_of(embeddings)
        mapped = np.load(file, mmap_mode="r")
        job = Search(mapped, codes, sides, distance, k, BlockSizes(), judgments)
        plan = make_plan(self.root, job, file, shards)
        self._compute(plan, file)
        out = empty_ranking(job.sides, job.k, job.judgments)
        for group in range(len(plan.groups)):
            partials = (_read(plan.file(number)) for number in plan.shards_of(group))
            merge_parts(job, plan.blocks(group), partials, out, pool)
        if advance is not None:
            advance(len(sides.queries))  # the shards have a bar of their own
        return out

    def _compute(self, plan: Plan, embeddings: Path) -> None:
        left = plan.unfinished()
        calls = [
            {
                "folder": str(plan.folder.resolve()),
                "embeddings": str(embeddings.resolve()),
                "number": number,
                "threads": self.workers.threads,
                "device": self.workers.device,
            }
            for number in left
        ]
        done = len(plan) - len(left)
        with progress_bar(
            "search in shards", len(plan), show=self.progress, done=done, unit="shard"
        ) as advance:
            for _ in self.workers.run(compute_shard, calls):
                advance(1)
        if missing := plan.unfinished():
            raise UserError(
                f"{plan.folder}: {len(missing):,} of {len(plan):,} shards have no file: every "
                "machine must see this folder under this name; run the same command to continue"
            )

    def file_of(self, embeddings: np.ndarray) -> Path:
        """Return the file that holds embeddings, after writing one for those that have none."""
        if (file := _mapped_file(embeddings)) is not None:
            return file
        value = zlib.crc32(f"{embeddings.dtype} {embeddings.shape}".encode())
        for start in range(0, len(embeddings), 65536):
            value = zlib.crc32(embeddings[start : start + 65536].tobytes(), value)
        file = self.root / f"points-{value:08x}.npy"
        if not file.is_file():
            with atomic_path(file) as temporary:
                np.save(temporary, np.asarray(embeddings))
        return file


def _mapped_file(embeddings: np.ndarray) -> Path | None:
    """Return the file that is mapped as these embeddings; None if they may differ from it.

    A view of a map, such as its rows in reverse, still names the file; and a map that is copied on
    write (``c``) may have been written to.
    """
    if not isinstance(embeddings, np.memmap) or embeddings.filename is None:
        return None
    file = Path(embeddings.filename)
    if file.suffix != ".npy" or embeddings.mode == "c":
        return None
    whole = np.load(file, mmap_mode="r")
    layouts = [(rows.shape, rows.dtype, rows.strides) for rows in (embeddings, whole)]
    return file if layouts[0] == layouts[1] else None


def _read(file: Path) -> Any:
    """Read the result of a shard.

    Raises:
        UserError: The file is damaged; it is removed.
    """
    from retrieval.evaluation.search.shards import Partial

    try:
        with np.load(file, allow_pickle=False) as arrays:
            return Partial(**{name: arrays[name] for name in arrays.files})
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        file.unlink(missing_ok=True)
        raise UserError(
            f"{file}: damaged, and removed ({error}); run the same command to compute it again"
        ) from None
