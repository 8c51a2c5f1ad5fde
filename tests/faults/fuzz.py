"""Give every reader thousands of wrong inputs.

    python -m tests.faults.fuzz [--inputs N] [--json] [READER ...]

A reader may accept an input or refuse it with a `UserError` of one line. It must not raise anything
else, take more than 10 seconds of computing or 2 GB, wait for ever, or change a file.
"""

import argparse
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings

from retrieval.errors import UserError
from tests.faults import children
from tests.faults.readers import READERS, Reader
from tests.faults.warm import load_tensorflow, warm_up

SECONDS, MEMORY = 10, 2 << 30
PER_CHILD = 500  # inputs; a child that dies costs only its own


def try_input(reader: Reader, content: bytes, folder: Path) -> bool:
    """Give a reader one input; return whether it accepted it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    start = time.process_time()  # other programs of the machine do not count
    signal.signal(signal.SIGALRM, _hangs)
    signal.setitimer(signal.ITIMER_REAL, 20 * SECONDS)
    try:
        reader.read(content, folder)
        accepted = True
    except UserError as error:
        if "\n" in str(error):
            raise AssertionError(f"several lines: {error}") from error
        accepted = False
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    assert time.process_time() - start < SECONDS, "too slow"
    return accepted


def _hangs(*_: object) -> None:
    raise AssertionError("it waits for something")


def fuzz(reader: Reader, inputs: int, folder: Path, seed: int, counts: dict) -> None:
    """Give a reader some inputs in this process, and count them and the kinds of problem."""
    last = folder / "last"

    def attempt(content: bytes) -> None:
        last.write_bytes(content)
        counts["inputs"] += 1
        try:
            counts["accepted"] += try_input(reader, content, folder / "input")
        except Exception as error:  # the run goes on, so that it finds every kind
            counts["problems"].setdefault(_kind_of(error), f"{content[:99]!r}")

    attempt = settings(
        max_examples=inputs, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )(given(reader.inputs)(attempt))  # fmt: skip
    attempt.hypothesis.inner_test._hypothesis_internal_use_seed = seed
    attempt._hypothesis_internal_use_seed = seed
    attempt()


def _kind_of(error: Exception) -> str:
    """Return what an error is and where it came from: one line for each kind of problem."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if "site-packages" not in f.filename and "/lib/" not in f.filename]
    places = [f"{Path(f.filename).name}:{f.lineno}" for f in (*ours[-3:], frames[-1])]
    words = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {words} ({' > '.join(dict.fromkeys(places))})"


def _limit_memory() -> None:
    """Let an allocation fail that would take this process over its limit."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))


def fuzz_in_children(reader: Reader, inputs: int, show: bool = True) -> dict:
    """Give a reader inputs in children with limits; return its counts and what went wrong."""
    total = {"reader": reader.name, "inputs": 0, "accepted": 0, "problems": [], "seconds": 0.0}
    kinds: dict[str, str] = {}
    start = time.monotonic()
    for part in range(0, inputs, PER_CHILD):
        with tempfile.TemporaryDirectory() as name:
            folder, answer = Path(name), Path(name, "answer")
            os.environ["RETRIEVAL_CACHE"] = f"{name}/cache"

            def work(part: int = part, folder: Path = folder, answer: Path = answer) -> None:
                warnings.simplefilter("ignore")
                _limit_memory()
                count = min(PER_CHILD, inputs - part)
                counts = {"inputs": 0, "accepted": 0, "problems": {}}
                try:
                    fuzz(reader, count, folder, part, counts)
                finally:
                    answer.write_text(json.dumps(counts))

            log = folder / "log"
            code = children.run(work, log, seconds=60 + 5 * PER_CHILD)
            if answer.exists():
                counts = json.loads(answer.read_text())
                total["inputs"] += counts["inputs"]
                total["accepted"] += counts["accepted"]
                kinds |= counts["problems"]
            if code:
                said = log.read_text(errors="replace")
                lines = [x for x in said.splitlines() if "Error" in x or "Exception" in x]
                last = (folder / "last").read_bytes() if (folder / "last").exists() else b""
                total["problems"].append(
                    f"exit {code}: {' | '.join(lines[-3:])[:500]}; {last[:99]!r}"
                )
                if show:
                    print(f"--- {reader.name}\n{said[-6000:]}", file=sys.stderr)
    total["problems"] += [f"{kind}; {text}" for kind, text in kinds.items()]
    total["seconds"] = round(time.monotonic() - start, 1)
    return total


def main(words: Sequence[str] | None = None) -> int:
    """Fuzz the readers that were named, or all, and print one line of JSON for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("readers", nargs="*", default=list(READERS))
    parser.add_argument("--inputs", type=int, default=1000, help="of each reader")
    given_ = parser.parse_args(words)
    bad = 0
    warm_up()
    if any(READERS[name].needs_tensorflow for name in given_.readers):
        load_tensorflow()
    for name in given_.readers:
        counts = fuzz_in_children(READERS[name], given_.inputs)
        bad += len(counts["problems"])
        print(json.dumps(counts), flush=True)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
