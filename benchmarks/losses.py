"""Time and memory of the losses, forward + backward, and of pytorch-metric-learning's.

    python benchmarks/losses.py                      # the six baseline losses
    python benchmarks/losses.py --losses all --sizes 1024
    python benchmarks/losses.py --output benchmarks/results/losses.md

The peer is ``pytorch_metric_learning`` on the same embeddings; its columns are empty if it is not
installed. ``floor`` is the bare matrix product of the batch with itself and its two gradient
products: no loss over all pairs can be faster. Every measurement runs in its own process, because
in one process the thread pools of the two frameworks would disturb each other, and memory would add
up. Memory is the peak while the loss runs, above what the process held before, and the process's
total.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
from losses_peer import peer_step

from retrieval.losses import LOSSES, get_loss

SIZE = 512
BASELINE = {
    "hard_triplet": {},
    "semi_hard_triplet": {},
    "lifted_loss": {},
    "npairs_loss": {},
    "angular_loss": {},
    "angular_loss, log-sum": {"form": "log_sum"},  # the peer's form
    "contrastive_loss": {},
    "contrastive_loss, active pairs": {"pairs": "active", "power": 1},  # likewise
}


def batch(name, size):
    """Labels (size,) in the loss's recommended P x K layout, and random embeddings."""
    entry = LOSSES[name.split(",")[0]]
    labels = np.arange(size) // entry.samples_per_class
    x = np.random.default_rng(0).normal(size=(size, SIZE)).astype(np.float32)
    if entry.normalize:
        x /= np.linalg.norm(x, axis=1, keepdims=True)
    return labels, x


def median_ms(run, seconds, least=5):
    run()
    run()
    times, end = [], time.perf_counter() + seconds
    while len(times) < least or time.perf_counter() < end:
        start = time.perf_counter()
        run()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def our_run(name, options, size):
    """A function that computes our loss and its gradient once, compiled."""
    labels, x = batch(name, size)
    loss = get_loss(name.split(",")[0], **options)
    loss.build(max(100, int(labels.max()) + 1), SIZE)

    @tf.function(autograph=False)
    def step(labels, x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = loss(labels, x)
        return tape.gradient(value, [x, *loss.trainable_variables])

    labels, x = tf.constant(labels), tf.constant(x)
    return lambda: step(labels, x)


def floor_run(size):
    x = tf.random.normal((size, SIZE))
    upstream = tf.random.normal((size, size))

    @tf.function(autograph=False)
    def step(x, upstream):
        return (
            tf.matmul(x, x, transpose_b=True),
            tf.matmul(upstream, x),
            tf.matmul(upstream, x, transpose_a=True),
        )

    return lambda: step(x, upstream)


def peer_run(name, size):
    """A function that computes the peer's loss and its gradient once; None if it cannot."""
    return peer_step(name, *batch(name, size)) if find_spec("pytorch_metric_learning") else None


def resident(field):
    """Resident memory of this process in MB: ``VmRSS`` now, ``VmHWM`` at its peak.

    ``ru_maxrss`` will not do: on Linux it outlives exec, so a child starts at its parent's peak.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{field}:")[1].split()[0]) / 1024


def measure(*what):
    """Cost of (name, options, batch size, peer or not, seconds) in a fresh process, or None."""
    command = [sys.executable, __file__, "--cost-of", json.dumps(what)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else None


def print_cost(name, options, size, peer, seconds):
    """Print median ms, peak MB above the start, and MB in total; null if there is no such peer."""
    if name == "floor":
        print(json.dumps([median_ms(floor_run(size), seconds), 0, 0]))
        return
    small = peer_run(name, 24) if peer else our_run(name, options, 24)
    run = peer_run(name, size) if peer else our_run(name, options, size)
    if run is None:
        print("null")
        return
    small()
    before = resident("VmRSS")
    for _ in range(3):
        run()
    peak = resident("VmHWM")
    print(json.dumps([median_ms(run, seconds, least=3), peak - before, peak]))


def row(name, options, size, floor, seconds):
    ours = measure(name, options, size, False, seconds)
    theirs = measure(name, {}, size, True, seconds)
    cells = [
        name,
        size,
        f"{ours[0]:.1f}",
        f"{floor:.1f}",
        f"{ours[0] / floor:.1f}",
        f"{theirs[0]:.1f}" if theirs else "",
        f"{theirs[0] / ours[0]:.1f}" if theirs else "",
        f"{ours[1]:.0f}",
        f"{ours[2]:.0f}",
        f"{theirs[1]:.0f}" if theirs else "",
    ]
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)
    return cells


def table(arguments):
    losses = {name: {} for name in LOSSES} if arguments.losses == ["all"] else None
    losses = losses or {n: o for n, o in BASELINE.items() if n in (arguments.losses or BASELINE)}
    losses = losses or {name: {} for name in arguments.losses}
    head = [
        "loss", "B", "ours ms", "floor ms", "ours / floor", "peer ms", "peer / ours",
        "ours MB", "ours MB in all", "peer MB",
    ]  # fmt: skip
    print("| " + " | ".join(head) + " |")
    print("|---" + "|--:" * (len(head) - 1) + "|", flush=True)
    rows = [head, ["---"] + ["--:"] * (len(head) - 1)]
    for size in arguments.sizes:
        floor = measure("floor", {}, size, False, arguments.seconds)[0]
        rows += [row(n, options, size, floor, arguments.seconds) for n, options in losses.items()]
    return "\n".join("| " + " | ".join(map(str, cells)) + " |" for cells in rows) + "\n"


def describe():
    versions = [f"TensorFlow {tf.__version__}"]
    if find_spec("pytorch_metric_learning"):
        import pytorch_metric_learning
        import torch

        versions += [f"pytorch-metric-learning {pytorch_metric_learning.__version__}"]
        versions += [f"torch {torch.__version__}"]
    cores = f"{os.cpu_count()} cores, {platform.machine()}"
    return f"Forward + backward, D = {SIZE}, median. {', '.join(versions)}; {cores}.\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[120, 480, 1024, 4096])
    parser.add_argument("--losses", nargs="+", help="names, or all; default: the six baseline ones")
    parser.add_argument("--seconds", type=float, default=2.0, help="least time per measurement")
    parser.add_argument("--heavy", action="store_true", help="run the peer beyond its limits")
    parser.add_argument("--output", type=Path, help="also write the table here")
    parser.add_argument("--cost-of", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.heavy:
        os.environ["HEAVY"] = "1"
    if arguments.cost_of:
        print_cost(*json.loads(arguments.cost_of))
        return
    text = describe()
    print(text)
    text += "\n" + table(arguments)
    if arguments.output:
        command = f"python benchmarks/losses.py {' '.join(sys.argv[1:])}"
        arguments.output.write_text(f"# Losses: time and memory\n\n`{command}`\n\n{text}")


if __name__ == "__main__":
    main()
