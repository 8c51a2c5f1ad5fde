"""What a hundred million images cost: bytes, bandwidth, hours and money, with a simulated schedule.

    python -m benchmarks.schedule            # writes the tables of docs/scale.md; a minute

Rates are read from where they were measured: ``benchmarks/results/rates.json`` (CPU per photo, per
part; made by ``benchmarks/rates.py``) and the tables of other files of ``benchmarks/results``. What
nobody measured here, prices and rates of GPUs and networks, is an assumption: a field of
:class:`Assumed` with its date, to be replaced by one's own.

The schedule is a simulation of discrete events: nodes take parts from one queue, parts take
different times (a lognormal spread and a heavy tail), nodes are lost at random (exponential times
between losses), the parts they were at go back to the queue, and other nodes take their place. It
is that of ``retrieval embed --on ray``; ``tests/evaluation/test_schedule.py`` compares it with
closed forms, and docs/scale.md with a real command of two actors.
"""

import argparse
import heapq
import json
import math
import re
import statistics
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from retrieval.evaluation.search.plan import BlockSizes, query_bytes

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "scale.md"
SEEDS = 20
HOUR = 3600.0
N = 100_000_000  # images, and items of the gallery
NODES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
PART_SIZES = (512, 2048, 4096, 16_384, 65_536, 262_144, 1_048_576)


# ------------------------------------------------------------------------------ the schedule


@dataclass(frozen=True)
class Losses:
    """How nodes are lost.

    Attributes:
        mean_time: Mean seconds between two losses of one node; infinite for none.
        restart: Seconds until another node in its place takes work.
    """

    mean_time: float = math.inf
    restart: float = 0.0


@dataclass(frozen=True)
class Spread:
    """How much longer some parts take than others; the mean stays.

    Attributes:
        sigma: Standard deviation of the logarithm of a part's time.
        tail_share: Share of parts that straggle.
        tail_index: Index of the Pareto distribution of how many times longer these take, above 1.
        node_sigma: Standard deviation of the logarithm of a node's speed.
    """

    sigma: float = 0.0
    tail_share: float = 0.0
    tail_index: float = 2.0
    node_sigma: float = 0.0

    def factors(self, n: int, chance: np.random.Generator) -> np.ndarray:
        """Return by how much the times of n parts are multiplied; their expectation is 1."""
        times = chance.lognormal(-(self.sigma**2) / 2, self.sigma, n)
        if self.tail_share:
            # Pareto from 1: the mean is index / (index - 1).
            longer = 1 + chance.pareto(self.tail_index, n)
            late = chance.random(n) < self.tail_share
            times = np.where(late, times * longer, times)
            times /= 1 + self.tail_share / (self.tail_index - 1)
        return times


@dataclass(frozen=True)
class Schedule:
    """What came of a simulation.

    Attributes:
        seconds: Time until the last part was done.
        busy: Sum over all actors of the seconds in which they worked on parts that they finished.
        lost: Likewise, on parts that were lost with their node, or were done by another first.
        losses: Number of lost nodes.
    """

    seconds: float
    busy: float
    lost: float
    losses: int


@dataclass
class _Node:
    speed: float
    epoch: int = 0  # counts its losses: what was begun before one never ends
    is_up: bool = True
    free: int = 0
    running: dict[int, float] = field(default_factory=dict)  # part -> when it was begun


def simulate(
    seconds: Sequence[float] | np.ndarray,
    nodes: int,
    chance: np.random.Generator,
    *,
    slots: int = 1,
    losses: Losses = Losses(),  # frozen
    start: float = 0.0,
    node_sigma: float = 0.0,
    again: Sequence[float] | np.ndarray | None = None,
) -> Schedule:
    """Simulate parts that nodes take from one queue.

    Args:
        seconds: Time of each part, in the order of the queue.
        nodes: Number of nodes.
        chance: Draws the losses and the speeds.
        slots: Actors per node. Defaults to 1.
        losses: How nodes are lost. Defaults to none.
        start: Seconds until the nodes take their first part. Defaults to 0.0.
        node_sigma: See :class:`Spread`. Defaults to 0.0.
        again: Time of a second copy of each part, which actors without work begin for the parts
            that are longest at work; the first copy that ends counts. Defaults to None: there are
            no copies, as in ``retrieval embed``.

    Returns:
        What came of it.
    """
    speeds = (
        chance.lognormal(-(node_sigma**2) / 2, node_sigma, nodes) if node_sigma else [1.0] * nodes
    )
    fleet = [_Node(float(speed)) for speed in speeds]
    waiting, done, busy, lost, lost_nodes, number = deque(range(len(seconds))), 0, 0.0, 0.0, 0, 0
    events: list[tuple[float, int, str, int, int, int]] = []

    def add(time: float, kind: str, node: int, part: int = -1) -> None:
        nonlocal number
        number += 1
        heapq.heappush(events, (time, number, kind, node, part, fleet[node].epoch))

    idle: list[int] = []  # a node for each of its free slots
    at_work: dict[int, list[int]] = {}  # part -> the nodes of its copies, longest at work first

    def begin(now: float, part: int, times: Sequence[float] | np.ndarray) -> None:
        node = idle.pop()
        fleet[node].running[part] = now
        at_work.setdefault(part, []).append(node)
        add(now + times[part] / fleet[node].speed, "end", node, part)

    def hand_out(now: float) -> None:
        while waiting and idle:
            begin(now, waiting.popleft(), seconds)
        while again is not None and idle:
            single = (p for p, own in at_work.items() if len(own) == 1 and own[0] != idle[-1])
            if (part := next(single, None)) is None:
                return
            begin(now, part, again)

    for node in range(nodes):
        add(start, "up", node)
        if math.isfinite(losses.mean_time):
            add(start + chance.exponential(losses.mean_time), "loss", node)
    now = 0.0
    while done < len(seconds):
        now, _, kind, node, part, epoch = heapq.heappop(events)
        own = fleet[node]
        if epoch != own.epoch or (kind == "end" and part not in own.running):
            continue  # of a node that was lost since, or of a copy that was given up
        if kind == "end":
            busy += now - own.running.pop(part)
            done += 1
            idle.append(node)
            for other in at_work.pop(part):
                if other != node:  # its copy is given up
                    lost += now - fleet[other].running.pop(part)
                    idle.append(other)
        elif kind == "up":
            idle.extend([node] * slots)
        else:
            lost_nodes += 1
            lost += sum(now - begun for begun in own.running.values())
            for part in own.running:
                at_work[part].remove(node)
                if not at_work[part]:
                    del at_work[part]
                    waiting.append(part)
            own.running.clear()
            own.epoch += 1
            idle[:] = [each for each in idle if each != node]
            add(now + losses.restart, "up", node)
            add(now + losses.restart + chance.exponential(losses.mean_time), "loss", node)
        hand_out(now)
    return Schedule(now, busy, lost, lost_nodes)


@dataclass(frozen=True)
class Interval:
    """A mean over seeds with the range that holds 95% of them.

    Attributes:
        mean: The mean.
        low: 2.5th percentile.
        high: 97.5th percentile.
    """

    mean: float
    low: float
    high: float

    def words(self, unit: float = 1.0) -> str:
        """Return mean (low to high), in a unit."""
        return f"{shown(self.mean / unit)} ({shown(self.low / unit)} to {shown(self.high / unit)})"


def interval_of(values: Sequence[float]) -> Interval:
    """Return the mean of values, one per seed, and the range that holds 95% of them."""
    low, high = (float(np.percentile(values, each)) for each in (2.5, 97.5))
    return Interval(statistics.fmean(values), low, high)


# ------------------------------------------------------------------------------ figures


@dataclass(frozen=True)
class Assumed:
    """What was not measured here: prices and machines, as of ``date``. Replace them by your own.

    Attributes:
        date: When they were assumed.
        gpu_flops: 16-bit operations per second that a network reaches on a GPU.
        gpu_gemm_flops: 32-bit operations per second of a GPU in a matrix product (without
            TensorFloat-32, which would not be exact).
        network: Bytes per second from the object store to one node.
        core_price: Dollars per core and hour, with its memory.
        gpu_price: Dollars per GPU and hour, without cores.
        storage_price: Dollars per GB and month in the object store.
        request_price: Dollars per 1,000 reads of an object.
        start: Seconds until an actor has loaded TensorFlow and the network.
        loss_hours: Mean hours between two losses of a node (interruptible machines).
        restart: Seconds until a lost node is replaced, its image pulled and the network loaded.
        spread: How the times of parts differ.
    """

    date: str = "2026-11-30"
    gpu_flops: float = 150e12
    gpu_gemm_flops: float = 30e12
    network: float = 1.25e9
    core_price: float = 0.04
    gpu_price: float = 2.50
    storage_price: float = 0.023
    request_price: float = 0.0004
    start: float = 60.0
    loss_hours: float = 24.0
    restart: float = 300.0
    spread: Spread = Spread(sigma=0.2, tail_share=0.01, tail_index=2.0, node_sigma=0.1)  # frozen


@dataclass(frozen=True)
class Measured:
    """What was measured, read from the files of the benchmarks.

    Attributes:
        photo_bytes: Mean size of a photo.
        check_cpu: CPU seconds to check a photo: decode it in full and look for damage.
        decode_cpu: CPU seconds to read, decode and resize it for the network.
        part_overhead: Seconds that a part costs however many images it has.
        thumbnail_bytes: Mean size of a thumbnail.
        item_bytes: Bytes of an item's row in ``items.parquet``.
        core_gemm_flops: 32-bit operations per second and core of a bare matrix product, 512-d.
        evaluation_ratio: Time of all exact metrics with 64 neighbors, of that of the bare product
            of the pairs that are compared: leave-one-out, half of the matrix.
    """

    photo_bytes: float
    check_cpu: float
    decode_cpu: float
    part_overhead: float
    thumbnail_bytes: float
    item_bytes: float
    core_gemm_flops: float
    evaluation_ratio: float


def read_measured() -> Measured:
    """Read the figures from where they were measured."""
    rates = json.loads((RESULTS / "rates.json").read_text(encoding="utf-8"))
    part = "Exact search, 60502x512"
    cores = int(re.search(r"on (\d+) cores", (RESULTS / "evaluation.md").read_text())[1])  # type: ignore[index]
    seconds = first_number(cell("evaluation.md", part, "bare ", 1))
    return Measured(
        **{name: rates[name]["median"] for name in (
            "photo_bytes", "check_cpu", "decode_cpu", "part_overhead", "thumbnail_bytes",
            "item_bytes",
        )},
        core_gemm_flops=2 * 60_502**2 * 512 / seconds / cores,
        evaluation_ratio=first_number(cell("evaluation.md", part, "ours: R@1", 1)) / (seconds / 2),
    )  # fmt: skip


def cell(file: str, heading: str, row: str, column: int) -> str:
    """Return a cell of a table of ``benchmarks/results``: by heading and begin of the row."""
    text = (RESULTS / file).read_text(encoding="utf-8")
    section = text[text.lower().index(heading.lower()) :]
    line = next(line for line in section.splitlines() if line.startswith(f"| {row}"))
    return line.strip("| ").split("|")[column].strip()


def first_number(text: str) -> float:
    """Return the first number in a text."""
    return float(re.search(r"[\d,]+\.?\d*", text)[0].replace(",", ""))  # type: ignore[index]


# ------------------------------------------------------------------------------ costs


@dataclass(frozen=True)
class Machine:
    """A kind of node.

    Attributes:
        name: In words.
        cores: Number of its processors.
        gpus: Number of its GPUs.
    """

    name: str
    cores: int
    gpus: int

    def price(self, assumed: Assumed) -> float:
        """Return dollars per hour."""
        return self.cores * assumed.core_price + self.gpus * assumed.gpu_price


MACHINES = (
    Machine("16 cores", 16, 0),
    Machine("1 GPU, 8 cores", 8, 1),
    Machine("1 GPU, 32 cores", 32, 1),
    Machine("8 GPUs, 96 cores", 96, 8),
)


def transformer_flops(layers: int, width: int, tokens: int) -> float:
    """Return the operations of a vision transformer for one image, forward.

    Each layer multiplies every token by 12 matrices of width x width (queries, keys, values,
    outputs, four for each side of its perceptron), and every token with every token twice.
    """
    return float(layers * (24 * width**2 * tokens + 4 * tokens**2 * width))


NETWORKS = {
    "ViT-S/14, 224 px": transformer_flops(12, 384, 257),
    "ViT-B/14, 224 px": transformer_flops(12, 768, 257),
    "ViT-L/14, 336 px": transformer_flops(24, 1024, 577),
}
USUAL = "ViT-B/14, 224 px"


def rates(machine: Machine, flops: float, measured: Measured, assumed: Assumed) -> dict[str, float]:
    """Return the images per second that each stage of a node can do at most.

    Stages overlap, as two actors share each GPU: the slowest one sets the pace.
    """
    cpu = measured.check_cpu + measured.decode_cpu
    found = {"network": assumed.network / measured.photo_bytes}
    if machine.gpus:
        found["decoding on the CPU"] = machine.cores / cpu
        found["GPU"] = machine.gpus * assumed.gpu_flops / flops
    else:
        # A network reaches no more on a core than the bare product does.
        found["CPU"] = machine.cores / (cpu + flops / measured.core_gemm_flops)
    return found


def bottleneck(found: Mapping[str, float]) -> tuple[str, float]:
    """Return the slowest stage and its images per second."""
    name = min(found, key=lambda each: found[each])
    return name, found[name]


def embed_seconds(
    machine: Machine,
    nodes: int,
    part: int,
    measured: Measured,
    assumed: Assumed,
    chance: np.random.Generator,
    *,
    images: int = N,
    flops: float = NETWORKS[USUAL],
    copies: bool = False,
) -> Schedule:
    """Simulate the embedding of images by nodes of one kind, two actors per GPU."""
    rate = bottleneck(rates(machine, flops, measured, assumed))[1]
    slots = max(2, 2 * machine.gpus)
    counts = np.full(math.ceil(images / part), part, float)
    counts[-1] = images - part * (len(counts) - 1)
    times = [
        counts / (rate / slots) * assumed.spread.factors(len(counts), chance)
        + measured.part_overhead
        for _ in range(2 if copies else 1)
    ]
    seconds, again = times[0], times[1] if copies else None
    return simulate(
        seconds,
        nodes,
        chance,
        slots=slots,
        losses=Losses(assumed.loss_hours * HOUR, assumed.restart),
        start=assumed.start,
        again=again,
        node_sigma=assumed.spread.node_sigma,
    )


def shown(value: float) -> str:
    """Return a number with three digits or fewer after the leading one.

    >>> shown(0.0123), shown(3.456), shown(45.6), shown(12345)
    ('0.012', '3.5', '46', '12,345')
    """
    if value and abs(value) < 1:
        return f"{value:.2g}"
    return f"{value:,.1f}" if abs(value) < 10 else f"{value:,.0f}"


def money(dollars: float) -> str:
    """Return dollars, with cents below ten.

    >>> money(0.114), money(1234.5)
    ('$0.11', '$1,234')
    """
    return f"${dollars:,.2f}" if dollars < 10 else f"${dollars:,.0f}"


def bytes_words(value: float) -> str:
    """Return bytes in words.

    >>> bytes_words(2.2e12), bytes_words(6.4e9)
    ('2.2 TB', '6.4 GB')
    """
    for unit, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= unit:
            return f"{shown(value / unit)} {name}"
    return f"{value:.0f} B"


# ------------------------------------------------------------------------------ tables


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table in Markdown."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(str(each) for each in row) + " |" for row in rows]
    return "\n".join(lines)


def measured_table(measured: Measured) -> str:
    rates = json.loads((RESULTS / "rates.json").read_text(encoding="utf-8"))
    rows = [
        [each["what"], f"{shown(each['median'] * each['scale'])} {each['unit']}",
         f"{shown(each['low'] * each['scale'])} to {shown(each['high'] * each['scale'])}",
         "`benchmarks/rates.py`"]
        for each in rates.values() if "what" in each
    ]  # fmt: skip
    rows += [
        ["bare matrix product, float32, 512-d, per core",
         f"{measured.core_gemm_flops / 1e9:.0f} GFLOP/s", "", "`evaluation.md`"],
        ["all exact metrics and 64 neighbors, of the bare product",
         f"{measured.evaluation_ratio:.2f}", "", "`evaluation.md`"],
        ["`retrieval embed`, small network, JPEGs of 32 px, 2 cores",
         cell("embed_many.md", "1,000,000 images", "embedding, network", 1).split(",  ")[0],
         "", "`embed_many.md`"],
        ["bare decoding of the same",
         cell("embed_many.md", "1,000,000 images", "bare decoding", 1), "", "`embed_many.md`"],
    ]  # fmt: skip
    return table(["measured", "median", "range", "where"], rows)


def assumed_table(assumed: Assumed) -> str:
    spread = assumed.spread
    rows = [
        ["a network on a GPU, 16 bit", f"{assumed.gpu_flops / 1e12:.0f} TFLOP/s"],
        ["a matrix product on a GPU, float32", f"{assumed.gpu_gemm_flops / 1e12:.0f} TFLOP/s"],
        ["from the object store to a node", f"{assumed.network / 1e9:.2f} GB/s"],
        ["a core with its memory", f"${assumed.core_price:.2f} per hour"],
        ["a GPU without cores", f"${assumed.gpu_price:.2f} per hour"],
        ["object store", f"${assumed.storage_price:.3f} per GB and month, "
         f"${assumed.request_price:.4f} per 1,000 reads"],
        ["losses", f"each node every {assumed.loss_hours:.0f} hours on average; "
         f"replaced after {assumed.restart:.0f} s"],
        ["parts", f"lognormal, sigma {spread.sigma}; {spread.tail_share:.0%} straggle, Pareto of "
         f"index {spread.tail_index}; speeds of nodes lognormal, sigma {spread.node_sigma}"],
    ]  # fmt: skip
    return table([f"assumed, {assumed.date}", "value"], rows)


QUERY_BYTES = {  # of neighbours.npz, which every query has a row in
    "ids and similarities of 64 neighbors": 64 * (4 + 4),
    "rank of the first relevant item, and which": 4 + 4,
    "three scores of a query (R-Precision, MAP@R, mAP), and its row": 3 * 8 + 4,
}


def bytes_table(measured: Measured, assumed: Assumed, width: int = 512) -> str:
    kinds = {
        "images": measured.photo_bytes,
        f"embeddings, float32, {width}-d": 4 * width,
        "embeddings, float16": 2 * width,
        "embeddings, int8": width,
        "embeddings, product quantization, 64 bytes": 64,
        "items.parquet (path, class, split, role)": measured.item_bytes,
        "thumbnails, 128 px": measured.thumbnail_bytes,
        **QUERY_BYTES,
    }
    rows = [
        [name, f"{shown(each)}", bytes_words(each * N),
         money(each * N / 1e9 * assumed.storage_price)]
        for name, each in kinds.items()
    ]  # fmt: skip
    return table(["of 100 million", "bytes each", "together", "a month in the store"], rows)


def pace_table(measured: Measured, assumed: Assumed) -> str:
    rows = []
    for name, flops in NETWORKS.items():
        for machine in MACHINES:
            found = rates(machine, flops, measured, assumed)
            stage, rate = bottleneck(found)
            hours = N / rate / HOUR
            rows.append(
                [name, machine.name,
                 ", ".join(f"{each} {shown(value)}" for each, value in found.items()),
                 f"**{stage}**", bytes_words(rate * measured.photo_bytes) + "/s",
                 shown(hours), shown(hours * machine.gpus) if machine.gpus else "",
                 money(hours * machine.price(assumed))]
            )  # fmt: skip
    header = [
        "network",
        "node",
        "images/s at most",
        "bottleneck",
        "read",
        "node hours",
        "GPU hours",
    ]
    return table([*header, "cost"], rows)


def nodes_table(measured: Measured, assumed: Assumed, machine: Machine, part: int) -> str:
    rows = []
    for nodes in NODES:
        # Long schedules of few nodes differ little: fewer seeds are enough.
        seeds = range(SEEDS if nodes >= 16 else SEEDS // 4)
        plain, copied = (
            [embed_seconds(machine, nodes, part, measured, assumed, np.random.default_rng(seed),
                           copies=copies) for seed in seeds]
            for copies in (False, True)
        )  # fmt: skip
        hours, second = (
            interval_of([each.seconds / HOUR for each in all_]) for all_ in (plain, copied)
        )
        actors = nodes * 2 * machine.gpus
        busy = statistics.fmean(each.busy / (each.seconds * actors) for each in plain)
        losses = statistics.fmean(each.losses for each in plain)
        cost = money(hours.mean * nodes * machine.price(assumed))
        rows.append([nodes, hours.words(), f"{busy:.0%}", shown(losses), cost, second.words()])
    header = ["nodes", "hours (95% of seeds)", "actors at work", "nodes lost", "cost"]
    return table([*header, "hours, with second copies"], rows)


def sizes_table(measured: Measured, assumed: Assumed, machine: Machine, nodes: int) -> str:
    ideal = N / bottleneck(rates(machine, NETWORKS[USUAL], measured, assumed))[1] / nodes
    often = replace(assumed, loss_hours=2.0)
    rows = []
    for part in PART_SIZES:
        cells = []
        for given, copies in ((assumed, False), (often, False), (assumed, True)):
            found = interval_of([
                embed_seconds(machine, nodes, part, measured, given, np.random.default_rng(seed),
                              copies=copies).seconds / ideal
                for seed in range(SEEDS if part > 1000 else SEEDS // 4)
            ])  # fmt: skip
            cells.append(f"{found.mean:.2f} ({found.low:.2f} to {found.high:.2f})")
        rows.append([f"{part:,}", f"{math.ceil(N / part):,}", bytes_words(part * 512 * 4), *cells])
    header = ["images per part", "parts", "vectors of a part"]
    kinds = [f"a loss every {each.loss_hours:.0f} h" for each in (assumed, often)]
    return table([*header, *kinds, f"{kinds[0]}, second copies"], rows)


def readings_of(queries: int, width: int, k: int = 64) -> int:
    """Return how often a search reads the gallery: once for each group of queries.

    A group is as large as :meth:`retrieval.evaluation.search.plan.Search.groups` makes it, for
    queries of few positives.
    """
    return math.ceil(queries * query_bytes(k, width) / BlockSizes().group_bytes)


def search_table(measured: Measured, assumed: Assumed, width: int = 512) -> str:
    rows = []
    reading = 4 * width * N / assumed.network  # seconds
    for queries in (10_000, 1_000_000, N):
        flops = 2.0 * queries * N * width
        cpu = flops / measured.core_gemm_flops * measured.evaluation_ratio / HOUR
        gpu = flops / assumed.gpu_gemm_flops / HOUR
        name = f"{queries:,}" + (", leave-one-out" if queries == N else "")
        readings = readings_of(queries, width)
        rows.append([name, f"{flops:.1e}", shown(cpu), money(cpu * assumed.core_price),
                     shown(gpu), money(gpu * assumed.gpu_price), f"{readings:,}",
                     shown(cpu * HOUR / readings / reading)])  # fmt: skip
    header = ["queries against 100 million", "operations", "core hours", "cost"]
    more = ["GPU hours, product alone", "cost", "readings of the gallery"]
    more.append("cores that wait for one reading")
    return table([*header, *more], rows)


def check_table() -> str:
    """Compare the simulation with closed forms and with a real command of two actors."""
    equal = simulate([7.0] * 1000, 12, np.random.default_rng(0)).seconds
    losses, seconds, n = Losses(100.0, 5.0), 20.0, 400
    exact = n * (losses.mean_time + losses.restart) * (math.exp(seconds / losses.mean_time) - 1)
    found = interval_of([
        simulate([seconds] * n, 1, np.random.default_rng(seed), losses=losses).seconds
        for seed in range(100)
    ])  # fmt: skip
    rows = [
        ["1,000 equal parts of 7 s on 12 nodes: ceil(1,000 / 12) x 7 s",
         f"{math.ceil(1000 / 12) * 7:,} s", f"{equal:,.0f} s"],
        ["400 parts of 20 s on a node that is lost every 100 s and back after 5 s: "
         "n (m + r) (exp(t / m) - 1)", f"{exact:,.0f} s",
         f"{found.mean:,.0f} s ({found.low:,.0f} to {found.high:,.0f})"],
    ]  # fmt: skip
    real = json.loads((RESULTS / "rates.json").read_text())["schedule"]
    for each in real:
        made = simulate(each["parts"], each["actors"], np.random.default_rng(0)).seconds
        rows.append(
            [f"a real command: {len(each['parts'])} parts, {each['actors']} actors",
             f"{each['seconds']:.1f} s", f"{made:.1f} s ({made / each['seconds'] - 1:+.1%})"]
        )  # fmt: skip
    return table(["schedule", "expected", "simulated"], rows)


def tables() -> dict[str, str]:
    """Return all tables of the page by name."""
    measured, assumed = read_measured(), Assumed()
    machine, part = MACHINES[2], 4096
    return {
        "measured": measured_table(measured),
        "assumed": assumed_table(assumed),
        "bytes": bytes_table(measured, assumed),
        "pace": pace_table(measured, assumed),
        "nodes": nodes_table(measured, assumed, machine, part),
        "sizes": sizes_table(measured, assumed, machine, 64),
        "search": search_table(measured, assumed),
        "checks": check_table(),
    }


def write_page(page: Path, made: Mapping[str, str]) -> None:
    """Put tables between the marks of a page, ``<!-- name -->`` and ``<!-- end -->``."""
    text = page.read_text(encoding="utf-8")
    for name, each in made.items():
        mark, end = f"<!-- {name} -->\n", "<!-- end -->"
        head, _, rest = text.partition(mark)
        _, found, tail = rest.partition(end)
        if not found:
            raise SystemExit(f"{page}: has no {mark.strip()} ... {end}")
        text = f"{head}{mark}\n{each}\n\n{end}{tail}"
    page.write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--page", type=Path, default=PAGE)
    write_page(parser.parse_args().page, tables())


if __name__ == "__main__":
    main()
