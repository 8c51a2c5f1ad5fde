"""Kill nodes and drivers while a run is evaluated in shards, and compare what comes out.

    python benchmarks/shard_kills.py [--kills 10] [--shards 24]

A Ray cluster of three nodes on this machine evaluates a run by the real command (``retrieval
evaluate RUN --on ray``), leave-one-out and query -> gallery, with k-means. First nodes are lost
with all their processes, one after another, each once further shards have finished, and replaced;
then the command itself is killed (SIGKILL) as often, and started again. At the end, every figure of
``metrics.json`` and every array of ``neighbours.npz`` is compared with those of the undisturbed
evaluation in one process.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))
from retrieval.runs.importing import import_files
from retrieval.runs.sharding import shards_path
from tests.clusters import started


def make_run(root: Path) -> Path:
    """Import a run of 4,000 items of 200 classes, a quarter of them queries."""
    rng, codes = np.random.default_rng(0), np.arange(4000) % 200
    rows = rng.standard_normal((200, 32))[codes] + 1.2 * rng.standard_normal((4000, 32))
    np.save(root / "e.npy", rows.astype(np.float32))
    roles = np.where(np.arange(4000) % 4 == 0, "query", "gallery")
    pd.DataFrame({"label": codes, "role": roles}).to_csv(root / "items.csv", index=False)
    files = [(root / "e.npy", root / "items.csv")]
    return import_files(root / "runs" / "kills" / "run", files, progress=False)


def results_of(run: Path) -> tuple:
    """Return all figures of a run and the bytes of its neighbors."""
    metrics = json.loads((run / "metrics.json").read_text())["results"]
    with np.load(run / "neighbours.npz") as arrays:
        return metrics, {name: arrays[name].tobytes() for name in arrays.files}


def begin(run: Path, shards: int) -> subprocess.Popen:
    """Start the command on the cluster that ``RAY_ADDRESS`` names."""
    command = [sys.executable, "-m", "retrieval.cli", "evaluate", str(run), "--on", "ray",
               "--shards", str(shards)]  # fmt: skip
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finished(run: Path) -> int:
    """Return the number of finished shards."""
    return len(list(shards_path(run).glob("*/shard-*.npz")))


def wait_for(driver: subprocess.Popen, run: Path, more_than: int) -> bool:
    """Wait for further shards; return whether the command is still at work."""
    while driver.poll() is None and finished(run) <= more_than:
        time.sleep(0.05)
    return driver.poll() is None


def lose_nodes(machines, run: Path, shards: int, kills: int) -> int:
    """Evaluate while nodes are lost; return how many were."""
    lost = 0
    while lost < kills:
        driver, seen = begin(run, shards), 0
        while lost < kills and wait_for(driver, run, seen):
            seen = finished(run)
            machines.lose(machines.added[0])
            lost += 1
            print(f"node {lost} lost after {seen} shards", file=sys.stderr)
            machines.add()
        _, words = driver.communicate()
        if driver.returncode:
            raise SystemExit(f"the evaluation failed: {words.decode()[-2000:]}")
    return lost


def kill_drivers(run: Path, shards: int, kills: int) -> int:
    """Evaluate while the command is killed; return how often it was."""
    killed = 0
    while True:
        driver, seen = begin(run, shards), finished(run)
        if killed < kills and wait_for(driver, run, seen):
            driver.send_signal(signal.SIGKILL)
            driver.wait()
            killed += 1
            print(f"driver {killed} killed after {finished(run)} shards", file=sys.stderr)
            continue
        _, words = driver.communicate()
        if driver.returncode:
            raise SystemExit(f"the evaluation failed: {words.decode()[-2000:]}")
        if killed >= kills:
            return killed


def main() -> None:
    """Kill, and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--shards", type=int, default=24)
    args = parser.parse_args()
    os.environ["RETRIEVAL_CLUSTER_PATIENCE"] = "120"
    with tempfile.TemporaryDirectory() as folder, started() as machines:
        run = make_run(Path(folder))
        undisturbed = results_of(run)
        nodes = lose_nodes(machines, run, args.shards, args.kills)
        same_nodes = results_of(run) == undisturbed
        drivers = kill_drivers(run, args.shards, args.kills)
        same_drivers = results_of(run) == undisturbed
    print(f"nodes lost: {nodes}, results identical: {same_nodes}")
    print(f"drivers killed: {drivers}, results identical: {same_drivers}")
    sys.exit(not (same_nodes and same_drivers))


if __name__ == "__main__":
    main()
