"""Are several workers equal to one device, also if one is killed, and what does exchange cost?

python -m benchmarks.workers equality   # all 25 losses on 1, 2 and 3 workers
python -m benchmarks.workers kills 10   # ten runs, each of which loses a worker
python -m benchmarks.workers speed      # milliseconds per step of 1 and 2 workers
"""

import json
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

import h5py
import numpy as np
import psutil

from retrieval.cluster.processes import run_processes
from retrieval.losses import LOSSES
from tests.training.shared_training import BATCH, Case, differences, train_cases, train_steps

START = time.perf_counter()
EXTRA = {
    "contrastive_loss + memory": Case("contrastive_loss", memory={"size": 60, "start": 1}),
    "margin_loss + memory": Case("margin_loss", memory={"size": 60, "start": 1}),
    "proxy_anchor + matryoshka": Case("proxy_anchor", matryoshka={"widths": [4]}),
    "multi_similarity + clipped": Case("multi_similarity", clip_norm=0.3),
    "hard_triplet + batch norm": Case("hard_triplet", batch_norm=True),
    "hard_triplet + batch norm, frozen for 5 steps": Case(
        "hard_triplet", batch_norm=True, options={"freeze_steps": 5}
    ),
}


def equality() -> None:
    """Print a table: the largest relative differences of workers to one device."""
    named = {name: Case(name) for name in LOSSES} | EXTRA
    cases = [*named.values()]
    found = {
        size: run_processes(train_cases, {"cases": cases}, size=size, restarts=0)
        for size in (1, 2, 3)
    }
    print(f"trained; {time.perf_counter() - START:.0f} s", file=sys.stderr)
    again = run_processes(train_cases, {"cases": cases[:4]}, size=3, restarts=0)
    alone = found[1][0]
    print("| loss | workers | loss, 20 steps | first gradient | weights after 20 steps |")
    print("|---|---|---|---|---|")
    worst = dict.fromkeys(("losses", "gradients", "weights"), 0.0)
    for number, name in enumerate(named):
        for size in (2, 3):
            ranks = [of_rank[number] for of_rank in found[size]]
            each = [differences(alone[number], one) for one in ranks]
            most = {key: max(d[key] for d in each) for key in each[0]}
            worst = {key: max(worst[key], most[key]) for key in worst}
            print(f"| {name} | {size} | " + " | ".join(f"{v:.1e}" for v in most.values()) + " |")
    print(f"\nlargest: {worst}")
    equal = all(
        np.array_equal(a, b)
        for size in (2, 3)
        for number in range(len(cases))
        for of_rank in found[size][1:]
        for a, b in zip(found[size][0][number]["weights"], of_rank[number]["weights"], strict=True)
    )
    print(f"weights of all workers bit-identical: {equal}")
    same = all(
        np.array_equal(a, b)
        for number in range(4)
        for a, b in zip(found[3][0][number]["weights"], again[0][number]["weights"], strict=True)
    )
    print(f"a second training on 3 workers bit-identical: {same}")


def kills(count: int) -> None:
    """Kill a random worker at a random step, again and again; compare with the run undisturbed."""
    from retrieval import TrainSettings, train
    from tests.photos import write_colors

    folder = Path(tempfile.mkdtemp(prefix="workers-kills-"))
    settings = TrainSettings(
        dataset="folder", data=str(write_colors(folder / "images", seed=0, scale=30)),
        backbone="conv4", weights="none", image_size=16, embedding_size=8, freeze_backbone=True,
        classes_per_batch=4, samples_per_class=2, steps=400, eval_every=50, learning_rate=0.01,
        loss="proxy_anchor", memory_batches=0, distribute="workers", workers=2,
    )  # fmt: skip

    def run(name: str, chance: random.Random | None) -> tuple[Path, float, list[str]]:
        done, words = threading.Event(), []
        killer = threading.Thread(target=kill, args=(name, chance, done, words))
        killer.start()
        begun = time.perf_counter()
        path = train(settings, runs=folder, name=name, evaluate=False, progress=False)
        done.set()
        killer.join()
        return path, time.perf_counter() - begun, words

    def kill(name: str, chance: random.Random | None, done: threading.Event, words: list) -> None:
        if chance is None:
            return
        rank, target = chance.randrange(2), chance.randrange(1, settings.steps)
        live = folder / "folder" / f".{name}.partial" / "live.json"
        while not done.wait(0.02):
            try:
                step = json.loads(live.read_text())["step"]
            except (OSError, ValueError):
                continue
            found = [
                child
                for child in psutil.Process().children()
                if child.cmdline()[-1:] == [str(rank)]
                and "retrieval.cluster.processes" in child.cmdline()
            ]
            if step >= target and found:
                found[0].kill()
                words.append(f"worker {rank} at step {step}")
                return

    reference, seconds, _ = run("undisturbed", None)
    wanted = state(reference)
    print(f"undisturbed: {seconds:.0f} s", flush=True)
    for number in range(count):
        path, seconds, words = run(f"killed-{number}", random.Random(number))
        found = state(path)
        equal = found.keys() == wanted.keys() and all(
            np.array_equal(found[name], wanted[name]) for name in wanted
        )
        history = (path / "history.csv").read_text() == (reference / "history.csv").read_text()
        print(f"{words}: {seconds:.0f} s, weights {equal}, history {history}", flush=True)


def state(run: Path) -> dict[str, np.ndarray]:
    """Return every array of a run's latest checkpoint."""
    found: dict[str, np.ndarray] = {}
    folder = max((run / "checkpoints").glob("step-*"))
    with h5py.File(folder / "model.weights.h5") as file:
        file.visititems(
            lambda name, item: (
                found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
            )
        )
    with np.load(folder / "state.npz") as arrays:
        return found | dict(arrays)


def speed() -> None:
    """Print how long a step takes on 1 and 2 workers, of networks of two sizes."""
    print("| width of 4 dense layers | weights | workers | ms per step |")
    print("|---|---|---|---|")
    for width in (64, 1024):
        for size in (1, 2):
            (found, *_) = run_processes(
                train_steps, {"width": width, "steps": 60}, size=size, restarts=0
            )
            print(f"| {width} | {found['weights']:,} | {size} | {found['milliseconds']:.1f} |")


def main() -> None:
    """Run what is named on the command line."""
    command, *numbers = sys.argv[1:]
    {"equality": equality, "kills": kills, "speed": speed}[command](*map(int, numbers))
    print(f"{BATCH} rows per batch; {time.perf_counter() - START:.0f} s")


if __name__ == "__main__":
    main()
