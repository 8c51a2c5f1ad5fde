"""Measure what embedding costs per photo and per part, for ``benchmarks/schedule.py``.

    python -m benchmarks.rates --images data/grocery

Costs are seconds of CPU, which other work on the machine hardly changes. Then two actors of a Ray
cluster of this machine embed the photos, and how long each part took is kept beside the time of the
whole, for the simulation to be compared with. Writes ``benchmarks/results/rates.json``.
"""

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from retrieval.quiet import import_tensorflow

import_tensorflow()

from retrieval import TrainSettings, load_embedder, train
from retrieval.datasets.image_health import examine_files
from retrieval.deployment import embed_to_file as command
from retrieval.deployment.image_parts import Done, ImagePart, check_part, embed_part
from retrieval.input_pipeline.pipeline import eval_dataset
from retrieval.runs.embedding_parts import Parts
from retrieval.runs.thumbnails import encode_thumbnail

OUT = Path(__file__).parent / "results" / "rates.json"
SIDE = 224  # pixels


def cpu_of(work: Callable[[], object]) -> float:
    """Return the seconds of CPU that some work takes in this process."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def entry(what: str, unit: str, scale: float, values: Sequence[float]) -> dict[str, object]:
    """Return a figure with its range, and how it is shown."""
    return {
        "what": what, "unit": unit, "scale": scale, "median": statistics.median(values),
        "low": min(values), "high": max(values),
    }  # fmt: skip


def decode(files: Sequence[str]) -> None:
    """Read, decode and resize photos as the network gets them."""
    for batch in eval_dataset(files, size=SIDE, batch_size=64):
        del batch


def make_run(folder: Path, images: Path) -> Path:
    """Train a small network for two steps and return its run."""
    settings = TrainSettings(
        dataset="folder", data=str(images), backbone="conv4", weights="none", image_size=64,
        embedding_size=64, classes_per_batch=2, samples_per_class=2, steps=2, loss="npairs_loss",
    )  # fmt: skip
    return train(settings, runs=folder / "runs", progress=False)


def classes(folder: Path, files: Sequence[str]) -> Path:
    """Return a folder of four classes of four photos, to train on."""
    for number, file in enumerate(files[:16]):
        inner = folder / "classes" / str(number % 4)
        inner.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, inner / f"{number}.jpg")
    return folder / "classes"


def scheduled(run: Path, listing: Path, out: Path, part: int, actors: int) -> dict[str, object]:
    """Embed on a Ray cluster; return what each part took, and all of them."""
    found: list[tuple[float, Done]] = []
    command._count = lambda bar, done: found.append((time.perf_counter(), done))
    command.embed_to_file(
        run, listing, out, part_images=part, progress=False,
        actors=command.Actors("ray", count=actors), announce=print,
    )  # fmt: skip
    begun = min(at - done.seconds for at, done in found)
    parts = [done.seconds for _, done in sorted(found, key=lambda each: each[1].number)]
    return {"actors": actors, "parts": parts, "seconds": max(at for at, _ in found) - begun}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, required=True, help="folder of photos")
    parser.add_argument("--photos", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--schedules", type=int, default=3, help="real commands on a cluster")
    parser.add_argument("--part", type=int, default=64, help="images per part of the real command")
    given = parser.parse_args()
    everything = [str(path.resolve()) for path in sorted(given.images.rglob("*.jpg"))]
    order = np.random.default_rng(0).permutation(len(everything))[: given.photos]
    files = [everything[row] for row in order]
    sizes = [os.path.getsize(file) for file in files]
    rounds: dict[str, list[float]] = {name: [] for name in ("check", "decode", "part", "start")}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = make_run(folder, classes(folder, files))
        embedder, parts = load_embedder(run), Parts(folder / "parts")
        one = ImagePart(0, 0, Path("/"), files[:1])
        decode(files[:64])
        for number in range(given.rounds):
            rounds["check"].append(cpu_of(lambda: examine_files(files)) / len(files))
            rounds["decode"].append(cpu_of(lambda: decode(files)) / len(files))

            def whole_part(number: int = number) -> None:
                checked = check_part(parts, one)
                parts.save(number, embed_part(embedder, one, checked))

            rounds["part"].append(cpu_of(whole_part))
            rounds["start"].append(cpu_of(lambda: load_embedder(run)))
            print({kind: values[-1] for kind, values in rounds.items()}, flush=True)
        thumbnails = [len(encode_thumbnail(file)) for file in files[:512]]
        listing = folder / "list.csv"
        rows = [f"{file},{Path(file).parent.name}" for file in files]
        listing.write_text("path,label\n" + "\n".join(rows) + "\n")
        mean = statistics.fmean
        rates: dict[str, Any] = {
            "photo_bytes": entry("a photo, mean", "kB", 1e-3, [mean(sizes)]),
            "check_cpu": entry("to check a photo, CPU", "µs", 1e6, rounds["check"]),
            "decode_cpu": entry(
                f"to read, decode and resize it to {SIDE} px, CPU", "µs", 1e6, rounds["decode"]
            ),
            "part_overhead": entry("a part of one photo, CPU", "s", 1, rounds["part"][1:]),
            "start": entry("to load a small network, CPU", "s", 1, rounds["start"]),
            "thumbnail_bytes": entry("a thumbnail of 128 px, mean", "kB", 1e-3, [mean(thumbnails)]),
            "schedule": [],
        }
        for number in range(given.schedules):
            out = folder / f"vectors-{number}"
            rates["schedule"].append(scheduled(run, listing, out, given.part, 2))
            print(rates["schedule"][-1], flush=True)
        items = (folder / "vectors-0" / "items.parquet").stat().st_size / len(files)
        rates["item_bytes"] = entry("a row of items.parquet", "bytes", 1, [items])
    OUT.write_text(json.dumps(rates, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(json.dumps(rates, indent=1))


if __name__ == "__main__":
    main()
