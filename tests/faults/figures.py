"""Run all faults, all fuzzing or all crowds, and write the counts to the results.

python -m tests.faults.figures faults [--workers N] [--random N] [--minutes N]
python -m tests.faults.figures fuzz [--inputs N]
python -m tests.faults.figures crowds [--sizes 2,5,20]
"""

import argparse
import json
import math
import os
import platform
import subprocess
import sys
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from retrieval.files import write_text

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "reliability.md"
INTRODUCTION = """# Reliability

What happens to runs and data when a process is killed, a disk is full, an input is wrong, or many
processes are at it at once. Each section is written by the command that it names.
"""
SECTIONS = ("Faults", "Fuzzing", "Many processes at once")
SHOWN = 20  # problems that are printed


def machine() -> str:
    """Describe the machine in a few words."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    python = ".".join(platform.python_version_tuple()[:2])
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, Python {python}"


def write_section(title: str, text: str, path: Path = RESULTS) -> None:
    """Replace one section of the results and keep the others."""
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    found = dict.fromkeys(SECTIONS, "")
    for part in old.split("\n## ")[1:]:
        name, _, body = part.partition("\n")
        if name in found:
            found[name] = body.strip()
    found[title] = text.strip()
    parts = [f"## {name}\n\n{body}\n" for name, body in found.items() if body]
    write_text(path, "\n".join([INTRODUCTION, *parts]))


def table(header: tuple[str, ...], rows: list[tuple]) -> str:
    """Return a Markdown table; all columns but the first hold numbers."""
    lines = [header, ("---", *["---:"] * (len(header) - 1)), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _lines(words: list[str]) -> list[dict]:
    """Run a module of this folder and return the JSON objects that it prints, one a line."""
    done = subprocess.run(
        [sys.executable, "-m", *words], stdout=subprocess.PIPE, text=True, check=False
    )
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode and not any(line.get("problems") for line in found):
        raise RuntimeError(f"{' '.join(words)} ended with {done.returncode}")
    for line in found:
        for problem in line.get("problems", ()):
            about = {k: line[k] for k in ("command", "fault", "at", "reader", "scene") if k in line}
            print(f"{about}: {problem}", flush=True)
    return found


def faults(workers: int, randoms: int, minutes: float, commands: list[str]) -> bool:
    """Kill every command everywhere, while there is time; return whether nothing was wrong."""
    from tests.faults.commands import COMMANDS

    start = time.monotonic()
    # A training takes seconds after each fault, other commands a tenth of that.
    waiting = {name: 6 if COMMANDS[name].needs_tensorflow else 1 for name in commands or COMMANDS}
    lock = threading.Lock()

    def run_command(name: str) -> list[dict]:
        with lock:
            left = max(0.0, 60 * minutes - (time.monotonic() - start))
            seconds = min(left, workers * left * waiting[name] / sum(waiting.values()))
            del waiting[name]
        every = "0" if COMMANDS[name].needs_tensorflow else "1"
        return _lines(
            ["tests.faults.sweep", name, "--every", every, "--random", str(randoms),
             "--seconds", f"{seconds:.0f}"]
        )  # fmt: skip

    with ThreadPoolExecutor(workers) as pool:
        # Those that take long first: what they leave of their time goes to the others.
        order = sorted(waiting, key=lambda name: -waiting[name])
        found = [line for lines in pool.map(run_command, order) for line in lines]
    about = {k: v for line in found for k, v in line.get("operations", {}).items()}
    counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for line in found:
        if "fault" in line:
            counts[line["command"]][line["fault"]] += 1
            counts[line["command"]]["wrong"] += bool(line["problems"])
    kinds = ("kill", "random kill", "ENOSPC", "EACCES", "wrong")
    rows = [
        (name, about[name]["operations"], about[name]["faults"], *(c[kind] for kind in kinds))
        for name, c in counts.items()
    ]
    rows.append(("all", *(sum(row[i] for row in rows) for i in range(1, len(kinds) + 3))))
    header = ("command", "file operations", "faults that there are", "killed at one",
              "killed at a random time",
              "disk full from one on", "no permission at one", "wrong afterwards")  # fmt: skip
    if not commands:
        write_section(
            "Faults",
            f"`python -m tests.faults.figures faults --random {randoms} --minutes {minutes:g}` on "
            f"{machine()}, {(time.monotonic() - start) / 60:.0f} minutes. A real process is "
            "killed, or its file operation fails; then every run is checked (whole, of one "
            "generation, its figures those of its embeddings), the command is given again, and the "
            "end is compared with that of an undisturbed one.\n\n"
            "The faults that there are: at every file operation, a kill, a disk that is full from "
            "there on, and a missing permission; and kills at random times. For commands that "
            "train or embed, only at operations that leave something new on the disk, and at the "
            "first, the middle and the last of more than three of one kind. Where fewer were run, "
            "the time was up; those are drawn at random. Not covered: power cuts (a kill loses no "
            "written page), file operations inside native code (HDF5, Parquet), which only the "
            "kills at random times reach, and UMAP, in whose place stands a function that takes no "
            "time.\n\n" + table(header, rows),
        )
    return not rows[-1][-1]


def fuzz(workers: int, inputs: int) -> bool:
    """Fuzz every reader; return whether nothing was wrong."""
    from tests.faults.readers import READERS

    start = time.monotonic()
    part = inputs / sum(reader.share for reader in READERS.values())
    jobs = [
        ["tests.faults.fuzz", name, "--inputs", str(math.ceil(part * reader.share))]
        for name, reader in READERS.items()
    ]
    with ThreadPoolExecutor(workers) as pool:
        found = [line for lines in pool.map(_lines, jobs) for line in lines]
    rows = [
        (line["reader"], line["inputs"], line["accepted"], len(line["problems"])) for line in found
    ]
    rows.append(("all", *(sum(row[i] for row in rows) for i in (1, 2, 3))))
    write_section(
        "Fuzzing",
        f"`python -m tests.faults.figures fuzz --inputs {inputs}` on {machine()}, "
        f"{(time.monotonic() - start) / 60:.0f} minutes. The inputs are valid files with bytes "
        "changed, valid files with one field changed (a huge count, another type, NaN, a missing "
        "key; checksums and lengths are right), and texts of the parts of a format. Each is "
        "accepted, or refused in one line; none may raise anything else, take 10 seconds of "
        "computing or 2 GB, wait for ever, or change a file.\n\n"
        + table(("reader", "inputs", "accepted", "kinds of problem"), rows),
    )
    return not rows[-1][-1]


def crowds(sizes: str) -> bool:
    """Let many processes work at once; return whether nothing was wrong."""
    found = _lines(["tests.faults.crowd", "--sizes", sizes])
    known = ("scene", "size", "seconds", "problems")
    rows = []
    for line in found:
        figures = ", ".join(f"{k}: {v:,}" for k, v in line.items() if k not in known)
        rows.append((line["scene"], line["size"], line.get("seconds", ""), figures,
                     len(line["problems"])))  # fmt: skip
    write_section(
        "Many processes at once",
        f"`python -m tests.faults.figures crowds --sizes {sizes}` on {machine()}.\n\n"
        + table(("scene", "processes", "seconds", "figures", "wrong"), rows),
    )
    return not any(row[-1] for row in rows)


def main() -> int:
    """Make the figures of one section."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("section", choices=("faults", "fuzz", "crowds"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--random", type=int, default=8, help="kills at random times, each command")
    parser.add_argument("--minutes", type=float, default=35, help="for all faults together")
    parser.add_argument("--inputs", type=int, default=10_000, help="of all readers together")
    parser.add_argument("--sizes", default="2,5,20")
    parser.add_argument("--commands", default="", help="separated by semicolons; writes no results")
    given = parser.parse_args()
    if given.section == "faults":
        commands = [name for name in given.commands.split(";") if name]
        good = faults(given.workers, given.random, given.minutes, commands)
    elif given.section == "fuzz":
        good = fuzz(given.workers, given.inputs)
    else:
        good = crowds(given.sizes)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
