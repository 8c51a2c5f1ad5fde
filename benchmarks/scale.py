"""Measure exact evaluation of galleries of millions: time, growth, share of the floor, memory.

    python benchmarks/scale.py [--sizes 1000000 2000000 5000000 10000000]

Synthetic items of 128 dimensions lie in a memory-mapped file: noise around the center of a class of
100, classes mixed over the file. 10,000 of them are queries; all others are the gallery. Measured
are, in turn and in processes of their own:

* ``floor``: the bare float32 product of all queries with all gallery items, read from the same
  file, of which nothing is kept;
* ``search``: neighbors (k = 64) and the rank of every positive, in shards, see
  :mod:`retrieval.evaluation.search.shards`;
* ``evaluate``: everything that ``retrieval evaluate`` computes of it: all metrics at every K,
  intervals, the geometry card;
* ``ray``: the same search as tasks of a Ray cluster on this machine, with 1, 2 and 4 workers.

Memory is the peak of what a process and its children hold beside the mapped file (``RssAnon``): the
pages of the file are in memory as long as there is room, and count as free. Results of all are
compared bit by bit by a digest. Writes ``benchmarks/results/scale.md`` and, for
``docs/scale.md``, ``benchmarks/results/scale.csv``.
"""

import argparse
import csv
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from pathlib import Path
from statistics import median

import numpy as np

N_QUERIES, CLASS_SIZE, K = 10_000, 100, 64
KINDS = ("floor", "search", "whole", "evaluate", "ray-1", "ray-2", "ray-4")  # as the table has them
MEASURED = (*KINDS[:2] * 3, *KINDS[2:])
RESULTS = Path(__file__).parent / "results"
PART = 1 << 16
CSV_COLUMNS = (
    "what", "gallery", "queries", "dimension", "workers", "seconds", "processor_seconds",
    "processor_seconds_least", "processor_seconds_most", "pairs_per_processor_second",
    "gflops_per_core", "memory_bytes",
)  # fmt: skip


def write_items(file: Path, n: int, d: int, noise: float) -> None:
    """Write n rows of noise around the centers of their classes, a part at a time."""
    rng = np.random.default_rng(0)
    classes = n // CLASS_SIZE
    centers = rng.standard_normal((classes, d)).astype(np.float32)
    out = np.lib.format.open_memmap(file, "w+", np.float32, (n, d))
    for start in range(0, n, PART):
        codes = np.arange(start, min(start + PART, n)) % classes
        apart = rng.standard_normal((len(codes), d), dtype=np.float32)
        out[start : start + len(codes)] = centers[codes] + noise * apart
    out.flush()


def inputs(file: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the mapped items, their classes and their roles."""
    rows = np.load(file, mmap_mode="r")
    n = len(rows)
    roles = np.full(n, "gallery", "U7")
    roles[np.sort(np.random.default_rng(1).choice(n, N_QUERIES, replace=False))] = "query"
    return rows, np.arange(n) % (n // CLASS_SIZE), roles


def digest_of(*arrays: np.ndarray) -> str:
    """Return a digest of arrays: results that are equal bit by bit have the same."""
    value = 0
    for array in arrays:
        value = zlib.crc32(np.ascontiguousarray(array).tobytes(), value)
    return f"{value:08x}"


def of_ranking(ranking) -> str:
    """Return the digest of a search."""
    return digest_of(
        ranking.ids, ranking.similarities, ranking.first_relevant_rank, *ranking.scores.values()
    )


def floor(file: Path, work: Path) -> str:
    """Multiply all queries with all gallery items, and keep nothing."""
    from retrieval.evaluation.protocol import sides
    from retrieval.evaluation.search.threads import worker_pool

    rows, _, roles = inputs(file)
    parts = sides(len(rows), roles)
    queries = np.asarray(rows[parts.queries])
    blocks = np.array_split(queries, -(-len(queries) // 512))
    with worker_pool() as pool:
        for start in range(0, len(rows), 1 << 18):
            chunk = np.array(rows[start : start + (1 << 18)])

            def run(block: np.ndarray, chunk: np.ndarray = chunk) -> None:
                buffer = np.empty((len(block), 512), np.float32)
                for at in range(0, len(chunk), 512):
                    part = chunk[at : at + 512]
                    np.matmul(block, part.T, out=buffer[:, : len(part)])

            list(pool.map(run, blocks))
    return ""


def search(file: Path, work: Path) -> str:
    """Search in shards."""
    return _search(file, work, None)


def whole(file: Path, work: Path) -> str:
    """Search without shards."""
    from retrieval.evaluation.protocol import sides
    from retrieval.evaluation.search.search import search as plain
    from retrieval.evaluation.search.threads import worker_pool

    rows, codes, roles = inputs(file)
    with worker_pool() as pool:
        return of_ranking(plain(rows, codes, sides(len(rows), roles), "cosine", K, pool=pool))


def _search(file: Path, work: Path, workers: int | None) -> str:
    from retrieval.evaluation.protocol import sides
    from retrieval.evaluation.search.shard_files import HERE, ShardedSearch
    from retrieval.evaluation.search.threads import worker_pool
    from retrieval.runs.sharding import workers_of_cluster

    rows, codes, roles = inputs(file)
    who = HERE if workers is None else workers_of_cluster()
    divided = ShardedSearch(work / "shards", None, who, progress=True)
    with worker_pool() as pool:
        return of_ranking(divided(rows, codes, sides(len(rows), roles), "cosine", K, pool=pool))


def evaluate(file: Path, work: Path) -> str:
    """Compute everything."""
    from retrieval.evaluation import evaluate as whole_evaluation
    from retrieval.evaluation.search.shard_files import ShardedSearch
    from retrieval.runs.evaluate import KS

    rows, codes, roles = inputs(file)
    found = whole_evaluation(
        rows, codes, roles, KS, kmeans="none", search_with=ShardedSearch(work / "shards")
    )
    chosen = {name: round(found.metrics[name], 3) for name in ("recall@1", "r_precision", "map")}
    print(f"metrics: {chosen}", file=sys.stderr)
    return digest_of(
        found.neighbors, found.similarities, found.first_relevant_rank,
        *(found.per_query[name] for name in ("precision@1", "r_precision", "map@r", "map", "mrr")),
    )  # fmt: skip


def ray_search(file: Path, work: Path, workers: int) -> str:
    """Search as tasks of a cluster on this machine."""
    return _search(file, work, workers)


def held_and_spent(pid: int, spent: dict[int, float]) -> int:
    """Return the bytes that a process and its children hold beside mapped files.

    Args:
        pid: The process.
        spent: Process -> processor seconds so far, updated: they are gone with the process.
    """
    total, waiting = 0, [pid]
    while waiting:
        each = waiting.pop()
        try:
            text = Path(f"/proc/{each}/status").read_text()
            times = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            for task in Path(f"/proc/{each}/task").iterdir():
                waiting += [int(child) for child in (task / "children").read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
        spent[each] = (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")
        lines = [line for line in text.splitlines() if line.startswith("RssAnon")]
        total += sum(int(line.split()[1]) * 1024 for line in lines)
    return total


def child(what: str, file: Path, work: Path, workers: int) -> None:
    """Measure one thing; print seconds, bytes and digest as JSON."""
    warm(work)
    if workers:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        # By default 15: workers would starve on a shared machine.
        os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 (Ray reads it as written)
        import ray

        ray.init(
            address="local", num_cpus=workers, object_store_memory=100 << 20,
            include_dashboard=False, log_to_driver=False,
        )  # fmt: skip
        from retrieval.cluster import run_tasks

        for _ in run_tasks(time.sleep, [{"seconds": 0}] * 0):
            pass
    peak, ended, spent = [0], threading.Event(), dict[int, float]()
    held_and_spent(os.getpid(), spent)
    before = sum(spent.values())

    def watch() -> None:
        while not ended.wait(0.2):
            peak[0] = max(peak[0], held_and_spent(os.getpid(), spent))

    threading.Thread(target=watch, daemon=True).start()
    start = time.perf_counter()
    found = ray_search(file, work, workers) if workers else globals()[what](file, work)
    seconds = time.perf_counter() - start
    ended.set()
    held_and_spent(os.getpid(), spent)
    processor = sum(spent.values()) - before
    shutil.rmtree(work / "shards", ignore_errors=True)
    result = {"seconds": seconds, "processor": processor, "memory": peak[0], "digest": found}
    print(json.dumps(result))


def warm(work: Path) -> None:
    """Compile, or load what was compiled, outside of the time."""
    from retrieval.evaluation import evaluate as whole_evaluation
    from retrieval.evaluation.search.shard_files import ShardedSearch

    rng = np.random.default_rng(0)
    rows, codes = rng.standard_normal((400, 16)).astype(np.float32), np.arange(400) % 40
    roles = np.where(np.arange(400) < 100, "query", "gallery")
    divided = ShardedSearch(work / "warm", 2)
    whole_evaluation(rows, codes, roles, kmeans="none", n_bootstrap=50, search_with=divided)
    shutil.rmtree(work / "warm")


def measured(what: str, file: Path, work: Path, workers: int = 0) -> dict:
    """Measure in a process of its own."""
    command = [sys.executable, __file__, "--child", what, "--file", str(file), "--work", str(work),
               "--workers", str(workers)]  # fmt: skip
    found = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    result: dict = json.loads(found.stdout.splitlines()[-1])
    result["load"] = os.getloadavg()[0]
    shown = f"{result['seconds']:.1f} s, {result['processor']:.1f} s of processor"
    shown = f"{what} {workers or ''}: {shown}, {result['memory'] / 1e9:.2f} GB"
    print(f"{shown}, load {result['load']:.1f}, {result['digest']}", file=sys.stderr, flush=True)
    return result


def main() -> None:
    """Measure all, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="*",
                        default=[1_000_000, 2_000_000, 5_000_000, 10_000_000])  # fmt: skip
    parser.add_argument("--dimension", type=int, default=128)
    parser.add_argument("--noise", type=float, default=1.2, help="more is harder")
    parser.add_argument("--measure", nargs="*", default=MEASURED, help="in this order")
    parser.add_argument(
        "--folder", type=Path, help="a disk with room, and what was measured before"
    )
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args.child, args.file, args.work, args.workers)
        return
    kept = args.folder / "scale.json" if args.folder else None
    rows = json.loads(kept.read_text()) if kept and kept.exists() else {}
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        work = Path(folder)
        for n in args.sizes:
            file = work / "items.npy"
            write_items(file, n, args.dimension, args.noise)
            for name in args.measure:
                what, _, workers = name.partition("-")
                found = measured(what, file, work, int(workers or 0))
                rows.setdefault(str(n), {}).setdefault(name, []).append(found)
                if kept:
                    kept.write_text(json.dumps(rows))
                write_tables(rows, args)
            file.unlink()
    write_tables(rows, args)


def place_of(name: str) -> int:
    """Return the place of a measurement in the table; others, such as ``ray-8``, come last."""
    return KINDS.index(name) if name in KINDS else len(KINDS)


def spread(values: list[float], form: str) -> str:
    """Return the median, with the least and the most if there are several; nothing of none."""
    if not values:
        return ""
    least, middle, most = (format(f(values), form) for f in (min, median, max))
    return f"{middle} ({least} to {most})" if len(values) > 1 else middle


def write_tables(rows: dict[str, dict[str, list[dict]]], args: argparse.Namespace) -> None:
    """Write the table for people and the one for machines.

    Args:
        rows: Number of items -> what -> its measurements.
        args: The command line.
    """
    lines, records, d, equal, compared = [], [], args.dimension, True, []
    for n, found in sorted((int(n), found) for n, found in rows.items()):
        digests = {e["digest"] for name, runs in found.items() for e in runs if name != "floor"}
        equal = equal and len(digests) <= 1
        several = [name for name in sorted(found, key=place_of) if name != "floor"]
        if len(several) > 1:
            compared.append(f"{n:,} items ({', '.join(several)})")
        pairs = N_QUERIES * (n - N_QUERIES)
        floors = [each["processor"] for each in found.get("floor", [])]
        for what in sorted(found, key=place_of):
            runs = found[what]
            name, _, workers = what.partition("-")
            seconds = [each["seconds"] for each in runs]
            spent = [each["processor"] for each in runs]
            memory = max(each["memory"] for each in runs)
            # Those that were measured one after the other, as far as there are as many.
            shares = [a / b for a, b in zip(spent, floors, strict=False)]
            rate = pairs / median(spent)
            load = spread([each["load"] for each in runs], ".0f")
            cells = (
                f"{n:,}", TITLES[name].format(workers), spread(seconds, ",.0f"),
                spread(spent, ",.1f"), spread(shares, ".2f"), f"{rate / 1e6:.0f} M",
                f"{memory / 1e9:.2f}", load,
            )  # fmt: skip
            lines.append(f"| {' | '.join(cells)} |")
            records.append(
                (name, n - N_QUERIES, N_QUERIES, d, workers or "", f"{median(seconds):.2f}",
                 f"{median(spent):.2f}", f"{min(spent):.2f}", f"{max(spent):.2f}",
                 f"{rate:.4e}", f"{2 * d * rate / 1e9:.2f}", memory)
            )  # fmt: skip
    cores = len(os.sched_getaffinity(0))
    args.out.mkdir(parents=True, exist_ok=True)
    page = PAGE.format(
        sizes=" ".join(sorted(rows, key=int)), cores=cores, d=d, queries=N_QUERIES, k=K,
        python=platform.python_version(), table="\n".join(lines),
        equal=AGREE.format("equal bit by bit" if equal else "NOT EQUAL", "; ".join(compared))
        if compared else "",
    )  # fmt: skip
    (args.out / "scale.md").write_text(page)
    with (args.out / "scale.csv").open("w", newline="") as file:
        csv.writer(file).writerows([CSV_COLUMNS, *records])


TITLES = {
    "floor": "bare float32 product of all pairs",
    "search": "search in shards: 64 neighbors, rank of every positive",
    "evaluate": "everything: all metrics and K, intervals, geometry",
    "whole": "search without shards",
    "ray": "search on {} Ray worker(s)",
}
AGREE = (
    "The neighbors, the first ranks, and every query's R-Precision, MAP@R, mAP and MRR are {}, "
    "whoever computed them: {}."
)
PAGE = """## Exact evaluation of galleries of millions

`python benchmarks/scale.py --sizes {sizes}`, {cores} cores, Python {python}: {queries:,} queries,
{d}-d float32 from a memory-mapped file, k = {k}. Measured in turn, each in a process of its own:
the median, and in brackets the least and the most. The machine was shared, and the load is what all
had to do at the end of each; so the share of the floor is that of processor time, which tells what
the work costs. GB are those beside the mapped file.

| items | what | s | s of processor | of the floor | pairs per s of processor | GB | load |
| --- | --- | --- | --- | --- | --- | --- | --- |
{table}

{equal}
"""


if __name__ == "__main__":
    main()
