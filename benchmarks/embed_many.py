"""Embed very many images: killed again and again, in bounded memory, beside bare decoding.

    python benchmarks/embed_many.py --images 20000      # some minutes on two cores
    python benchmarks/embed_many.py --images 1000000    # hours; writes the table, too

Makes JPEGs of 32 px, a few thousand different ones; all others are hard links to these, which are
files of their own name to every program and take no room. A small network (conv4, not trained to
any purpose) embeds them with `retrieval embed`, in a process of its own that is killed with SIGKILL
at random moments and started again. Then every row is compared with the vector that its content
got in an undisturbed command, and the paths with those that were made.

Memory is the largest resident size of the processes, as the kernel counts it (`ru_maxrss`). Speed
is measured apart, without kills and with the network in memory, in alternating rounds with bare
decoding: the same files, decoder, threads and batches, and no network, checks or files written.
"""

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from retrieval.quiet import import_tensorflow

import_tensorflow()

from retrieval import TrainSettings, load_embedder, train
from retrieval.deployment import embed_to_file as command
from retrieval.input_pipeline.pipeline import eval_dataset
from retrieval.runs.embedding_parts import Parts

OUT = Path(__file__).parent / "results" / "embed_many.md"
PER_FOLDER = 1000
SIZE = 32  # pixels


def write_image(path: Path, draw: np.random.Generator) -> None:
    """Write a JPEG of 32 px: a few colors, enlarged, and noise."""
    coarse = Image.fromarray(draw.integers(0, 256, (4, 4, 3), np.uint8)).resize((SIZE, SIZE))
    pixels = np.asarray(coarse) + draw.normal(scale=8, size=(SIZE, SIZE, 3))
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path, quality=90)


def make_images(folder: Path, n: int, distinct: int) -> tuple[Path, Path]:
    """Return a folder of the different images, and one of n images that are links to them."""
    contents, images = folder / "contents", folder / "images"
    contents.mkdir(parents=True)
    draw = np.random.default_rng(0)
    for number in range(distinct):
        write_image(contents / f"{number:06d}.jpg", draw)
    for number in range(n):
        inner = images / f"{number // PER_FOLDER:04d}"
        if number % PER_FOLDER == 0:
            inner.mkdir(parents=True)
        os.link(contents / f"{number % distinct:06d}.jpg", inner / f"{number:08d}.jpg")
    return contents, images


def make_run(folder: Path) -> Path:
    """Train a small network for two steps and return its run."""
    draw = np.random.default_rng(1)
    for label in range(8):
        (folder / "classes" / str(label)).mkdir(parents=True)
        for number in range(4):
            write_image(folder / "classes" / str(label) / f"{number}.jpg", draw)
    settings = TrainSettings(
        dataset="folder", data=str(folder / "classes"), backbone="conv4", weights="none",
        image_size=SIZE, embedding_size=64, classes_per_batch=2, samples_per_class=2, steps=2,
        loss="npairs_loss",
    )  # fmt: skip
    return train(settings, runs=folder / "runs", progress=False)


def start(run: Path, images: Path, out: Path, log: Path) -> subprocess.Popen:
    """Start `retrieval embed` in a process of its own."""
    words = ["embed", str(run), "--images", str(images), "--out", str(out)]
    with log.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "retrieval.cli", *words], stdout=file, stderr=file
        )


def ended(process: subprocess.Popen) -> tuple[int, float]:
    """Wait for a process; return its exit code and its largest resident size in MB."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_maxrss / 1e3


def embed_with_kills(
    run: Path, images: Path, out: Path, n: int, kills: int, log: Path, seed: int
) -> dict:
    """Embed the images, killing the command at random moments."""
    parts, total = Parts.of(out), -(-n // command.PART_IMAGES)
    draw, memory, moments = random.Random(seed), [], []
    began = time.perf_counter()
    for kill in range(kills):
        process = start(run, images, out, log)
        done = draw.randrange(
            kill * total // (kills + 1), max(1, (kill + 1) * total // (kills + 1))
        )
        while parts.count() < max(1, done) and process.poll() is None:
            time.sleep(0.05)
        time.sleep(draw.uniform(0, 2))
        if process.poll() is not None:
            raise SystemExit(f"the command ended before kill {kill + 1}: give more --images")
        process.kill()
        moments.append(parts.count())
        memory.append(ended(process)[1])
        print(f"killed after {moments[-1]} of {total} parts; {memory[-1]:,.0f} MB", flush=True)
    code, peak = ended(start(run, images, out, log))
    if code:
        raise SystemExit(f"`retrieval embed` failed, see {log}")
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "memory": [*memory, peak], "moments": moments, "parts": total}


def verify(out: Path, n: int, distinct: int, vectors: np.ndarray) -> float:
    """Check that every image is there once, with the vector of its content.

    Returns:
        The largest difference of a number from that of the undisturbed command.
    """
    file, row, largest = pq.ParquetFile(out), 0, 0.0
    for group in range(file.num_row_groups):
        table = file.read_row_group(group)
        paths = table.column("path").to_pylist()
        expected = [f"{i // PER_FOLDER:04d}/{i:08d}.jpg" for i in range(row, row + len(paths))]
        assert paths == expected, f"row {row}: other paths than were made"
        found = np.stack(table.column("embedding").to_numpy())
        wanted = vectors[np.arange(row, row + len(paths)) % distinct]
        largest = max(largest, float(np.abs(found - wanted).max()))
        row += len(paths)
    assert row == n, f"{row} rows for {n} images"
    assert largest < 1e-5, f"a vector differs by {largest}"
    return largest


def speeds(run: Path, images: Path, folder: Path, n: int, rounds: int) -> list[tuple[float, float]]:
    """Return images per second of embedding and of bare decoding, in alternating rounds."""
    listed = [str(path) for path in sorted(images.rglob("*.jpg"))[:n]]
    (folder / "list.csv").write_text("path\n" + "\n".join(listed) + "\n")
    embedder, found = load_embedder(run), []
    command.load_embedder = lambda *_, **__: embedder
    for number in range(rounds + 1):
        start_at = time.perf_counter()
        for batch in eval_dataset(listed, size=SIZE, batch_size=64):
            del batch
        between = time.perf_counter()
        out = folder / f"speed-{number}.parquet"
        command.embed_to_file(run, folder / "list.csv", out, progress=False)
        end = time.perf_counter()
        found.append((n / (end - between), n / (between - start_at)))
        print(f"embed {found[-1][0]:,.0f}/s, bare decoding {found[-1][1]:,.0f}/s", flush=True)
    return found[1:]  # the first compiles the network


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--distinct", type=int, default=4_000, help="different contents")
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--speed-images", type=int, default=20_000, help="images of a round")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    parser.add_argument("--folder", type=Path, help="for the images; default: a temporary one")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    n, distinct = given.images, min(given.distinct, given.images)
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        contents, images = make_images(folder, n, distinct)
        run = make_run(folder)
        command.embed_to_file(run, contents, folder / "contents.npy", progress=False)
        out, log = folder / "vectors.parquet", folder / "log.txt"
        try:
            made = embed_with_kills(run, images, out, n, given.kills, log, given.seed)
        except SystemExit:
            print(log.read_text(errors="replace")[-2000:], file=sys.stderr)
            raise
        largest = verify(out, n, distinct, np.load(folder / "contents.npy"))
        print(f"verified {n:,} rows, largest difference {largest:.1e}", flush=True)
        measured = speeds(run, images, folder, min(n, given.speed_images), given.rounds)
    embed, decode = zip(*measured, strict=True)
    ratios = [a / b for a, b in measured]
    moments = ", ".join(f"{each:,}" for each in made["moments"])
    lines = [
        f"## {n:,} images",
        "",
        f"`python benchmarks/embed_many.py --images {n}`, {os.cpu_count()} cores; load average "
        f"{os.getloadavg()[0]:.1f} at the end.",
        "",
        "| | |",
        "|---|---|",
        f"| images | {n:,} JPEGs of {SIZE} px, {distinct:,} different, the others hard links |",
        f"| killed | {given.kills} times with SIGKILL, when {moments} of {made['parts']:,} parts "
        "were written |",
        f"| rows | all {n:,} there once, in order; largest difference from an undisturbed command "
        f"{largest:.1e} |",
        f"| largest memory of a process | {max(made['memory']):,.0f} MB |",
        f"| time, with all starts and what the kills lost | {made['seconds']:,.0f} s, "
        f"{n / made['seconds']:,.0f} images/s |",
        f"| embedding, network in memory | median {statistics.median(embed):,.0f} images/s "
        f"({min(embed):,.0f} to {max(embed):,.0f}), {given.rounds} rounds of "
        f"{min(n, given.speed_images):,} |",
        f"| bare decoding, alternating with it | median {statistics.median(decode):,.0f} images/s "
        f"({min(decode):,.0f} to {max(decode):,.0f}) |",
        f"| ratio | median {statistics.median(ratios):.2f} ({min(ratios):.2f} to "
        f"{max(ratios):.2f}) |",
    ]
    head = "# Embedding very many images\n\n" + "\n".join(__doc__.splitlines()[5:]).strip() + "\n"
    before = given.out.read_text(encoding="utf-8") if given.out.exists() else head
    given.out.write_text(before.rstrip() + "\n\n" + "\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
