"""Two, five and twenty processes at once: on one notes file, one run, one cache.

python -m tests.faults.crowd [--sizes 2,5,20] [SCENE ...]
"""

import argparse
import itertools
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from retrieval.runs.run import ChangedRun
from retrieval.runs.store import open_run
from tests.faults import children
from tests.faults.commands import EVALUATE, IMPORT, TRAIN, imported, photos, type_command, typed
from tests.faults.state import content, problems_of_runs, temporaries
from tests.faults.warm import load_tensorflow, warm_up

RUN = Path("runs/folder/one")
NOTES_EACH, ROUNDS = 5, 4
THUMBNAILS, TURNS = 100, 3
SECONDS = 600


def notes(size: int) -> dict:
    """Let each of many processes write notes on items of its own."""
    from workbench.data.notes import read_notes, write_note

    imported()

    def write(number: int) -> None:
        for turn in range(NOTES_EACH):
            row = (number * NOTES_EACH + turn) % 24
            write_note(open_run(RUN), row, "ambiguous", f"{number}.{turn}")

    codes = together(size, write)
    found = read_notes(open_run(RUN))
    wanted = len({n % 24 for n in range(size * NOTES_EACH)} | {3})  # 3 has the note of before
    problems = [] if len(found) == wanted else [f"{len(found)} notes, {wanted} were written"]
    return {"written": size * NOTES_EACH, "items": wanted, "lost": wanted - len(found),
            "problems": problems + ended(codes)}  # fmt: skip


def import_during_evaluate(size: int) -> dict:
    """Let half of the processes import the run again and half evaluate it."""
    imported()
    waited = f"{os.getcwd()}/waited"
    words = [f"{IMPORT.format('b')} --overwrite", f"{EVALUATE} --distance euclidean"]

    def change(number: int) -> None:
        for _ in range(ROUNDS):
            try:
                type_command(words[number % 2])
            except SystemExit as end:
                with open(f"{waited}-{number}", "a") as file:
                    file.write("refused\n" if end.code else "done\n")

    codes = together(size, change)
    answers = Counter(
        line for path in Path().glob("waited-*") for line in path.read_text().splitlines()
    )
    log = "".join(path.read_text(errors="replace") for path in Path().glob("log-*"))
    problems = ended(codes) + (["a traceback"] if "Traceback" in log else [])
    return {"done": answers["done"], "refused, another process at it": answers["refused"],
            "problems": problems}  # fmt: skip


def readers(size: int) -> dict:
    """Let processes read the run, as sessions of the app do, while it is replaced."""
    from workbench.data.loading import find_run

    imported()
    os.environ["RETRIEVAL_RUNS"] = "runs"
    known = {np.load(f"{name}.npy").tobytes() for name in "ab"}
    done = Path("done")

    def read(number: int) -> None:
        counts: Counter[str] = Counter()
        while not done.exists():
            try:
                run = find_run("folder", "one")
                if run is None:
                    counts["not there"] += 1
                    continue
                whole = np.array(run.embeddings), run.items, np.array(run.neighbors().ids)
                _ = run.results, run.projection, run.thumbnail(0)
                assert whole[0].tobytes() in known, "other embeddings"
                assert len(whole[0]) == len(whole[1]) == 24
                counts["read"] += 1
            except ChangedRun:
                counts["told that it had changed"] += 1
        Path(f"counts-{number}").write_text(json.dumps(counts))

    def replace_run(_: int) -> None:
        for name in itertools.islice(itertools.cycle("ba"), 10):
            typed(f"{IMPORT.format(name)} --overwrite")
            typed(f"{EVALUATE} --distance euclidean")
        done.touch()

    codes = together(size + 1, lambda n: read(n) if n else replace_run(n))
    total: Counter[str] = Counter()
    for path in Path().glob("counts-*"):
        total.update(json.loads(path.read_text()))
    problems = ended(codes)
    if total["not there"]:
        problems.append(f"{total['not there']} times there was no run")
    return {"replaced": 20, **total, "problems": problems}


def shared_cache(size: int) -> dict:
    """Let processes train on one cache of frozen features, which is empty."""
    photos()

    def train(name: str) -> None:
        words = TRAIN.replace("--name one", f"--name {name}")
        typed(f"{words} --freeze-backbone --steps 2 --eval-every 2 --runs runs")

    codes = together(size, lambda n: train(f"r{n}"))
    os.environ["RETRIEVAL_CACHE"] = f"{os.getcwd()}/alone"
    codes += together(1, lambda _: train("alone"))
    states = [content(path.parent) for path in sorted(Path("runs/folder").glob("*/config.yaml"))]
    same = sum(
        all(one.get(k) == v for k, v in states[0].items() if k != "config.yaml") for one in states
    )
    problems = [] if same == size + 1 else [f"{same} of {size + 1} runs are equal"]
    return {"runs": size + 1, "equal": same, "problems": problems + ended(codes)}


def empty_caches(size: int) -> dict:
    """Let processes fill the same empty caches, and kill one of them in the middle, many times.

    They draw the images of a data set, decode and check them, and pack their thumbnails.
    """
    from retrieval.datasets import load_catalog
    from retrieval.runs.thumbnails import write_thumbnails

    def fill(number: int) -> None:
        catalog = load_catalog("typefaces", "drawn", subset="sample")
        paths = catalog.absolute_paths()[:THUMBNAILS]
        write_thumbnails(Path(f"thumbnails-{number}"), paths, progress=False)
        Path(f"catalog-{number}").write_text(catalog.items.to_csv())

    def filled() -> dict[str, str]:
        return {
            f"{folder}/{name}": digest
            for folder in ("drawn", "cache/thumbnails")
            for name, digest in content(Path(folder)).items()
        }

    start = time.monotonic()
    problems = ended(together(1, fill))
    alone, seconds = filled() | read_all(0), time.monotonic() - start
    killed = 0
    for turn in range(TURNS):
        for name in ("drawn", "cache", *(str(path) for path in Path().glob("thumbnails-*"))):
            shutil.rmtree(name, ignore_errors=True)
        victim = children.start(lambda: fill(size), Path("log-victim"))
        started = [
            children.start(lambda n=number: fill(n) and None, Path(f"log-{number}"))
            for number in range(size)
        ]
        time.sleep(seconds * turn / TURNS)
        children.kill(victim)
        killed += children.wait(victim) < 0
        codes = [children.wait(child, SECONDS) for child in started]
        problems += ended(codes)
        cached = filled()
        problems += [
            f"turn {turn}: process {number} got something else"
            for number in range(size)
            if cached | read_all(number) != alone
        ]
    return {"turns": TURNS, "killed": killed, "files": len(alone), "problems": problems}


def read_all(number: int) -> dict[str, str]:
    """Return what a process of :func:`empty_caches` got."""
    thumbnails = content(Path(f"thumbnails-{number}"))
    return thumbnails | {"catalog": Path(f"catalog-{number}").read_text()}


SCENES: dict[str, tuple[Callable[[int], dict], bool]] = {
    "notes by many writers": (notes, False),
    "import --overwrite during evaluate": (import_during_evaluate, False),
    "sessions that read while the run is replaced": (readers, False),
    "training on one cache of features": (shared_cache, True),
    "caches that are empty": (empty_caches, False),
}


def together(size: int, work: Callable[[int], object]) -> list[int]:
    """Run some work in processes at once; return their exit statuses."""
    started = [
        children.start(lambda n=number: work(n) and None, Path(f"log-{number}"))
        for number in range(size)
    ]
    end = time.monotonic() + SECONDS
    return [children.wait(child, max(1, end - time.monotonic())) for child in started]


def ended(codes: list[int]) -> list[str]:
    """Return a problem for each process that did not end well."""
    found = []
    for number, code in enumerate(codes):
        if code:
            log = Path(f"log-{number}")
            said = log.read_text(errors="replace") if log.exists() else ""
            found.append(f"process {number} ended with {code}: {said.strip()[-300:]}")
    return found


def play(name: str, size: int) -> dict:
    """Play a scene with some processes, in a child; return its figures and problems."""
    with tempfile.TemporaryDirectory() as folder:
        answer, box = Path(folder, "answer"), Path(folder, "box")
        box.mkdir()

        def work() -> None:
            os.chdir(box)
            os.environ["RETRIEVAL_CACHE"] = str(box / "cache")
            found = SCENES[name][0](size)
            for path in Path().glob("log-*"):
                path.unlink()
            found["problems"] += [p for p in problems_of_runs(Path("runs")) if "mine: " not in p]
            if left := [path for path in temporaries(Path()) if path != "runs/folder/.mine"]:
                found["problems"].append(f"left {', '.join(left)}")
            answer.write_text(json.dumps(found))

        start = time.monotonic()
        code = children.run(work, Path(folder, "log"), SECONDS)
        if not answer.exists():
            said = Path(folder, "log").read_text(errors="replace")
            return {"scene": name, "size": size, "problems": [f"exit {code}: {said[-2000:]}"]}
        found = json.loads(answer.read_text())
        shutil.rmtree(box)
    seconds = round(time.monotonic() - start, 1)
    return {"scene": name, "size": size, "seconds": seconds} | found


def main() -> int:
    """Play the scenes that were named, or all, and print one line of JSON for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenes", nargs="*", default=list(SCENES))
    parser.add_argument("--sizes", default="2,5,20")
    given = parser.parse_args()
    warm_up()
    if any(SCENES[name][1] for name in given.scenes):
        load_tensorflow()
    bad = 0
    for name in given.scenes:
        for size in map(int, given.sizes.split(",")):
            found = play(name, size)
            bad += len(found["problems"])
            print(json.dumps(found), flush=True)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
