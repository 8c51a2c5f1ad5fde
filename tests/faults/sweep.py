"""Kill every command at every file operation, let each fail there, and kill it at random times.

    python -m tests.faults.sweep [--every N] [--random N] [--seconds N] [COMMAND ...]

After each fault, every run folder is checked: its files agree with each other and with the figures
that its embeddings give, it is the run of before or that of after and no mixture, and nothing of
the user's has changed. Then the command is given again, and must end as if nothing had happened.
"""

import argparse
import errno
import json
import math
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.faults import children
from tests.faults.commands import COMMANDS, Command, type_command
from tests.faults.operations import (
    KILLED,
    Act,
    counted,
    fail_at,
    kill_at,
    telling_places,
    watch_operations,
)
from tests.faults.state import content, problems_of_runs, temporaries
from tests.faults.warm import load_tensorflow, warm_up

FAILURES = (errno.ENOSPC, errno.EACCES)


@dataclass
class Outcome:
    """What one fault did.

    Attributes:
        command: Name of the command.
        fault: ``kill``, ``random kill`` or the name of an error.
        at: Number of the operation, or milliseconds.
        problems: What was wrong afterwards; empty if all was as it must be.
        finished: Whether the command ended before the fault.
    """

    command: str
    fault: str
    at: int
    problems: list[str] = field(default_factory=list)
    finished: bool = False


class Bench:
    """A folder in which one command is run again and again from the same beginning.

    Args:
        command: The command.
        folder: An empty folder to work in.
    """

    def __init__(self, command: Command, folder: Path) -> None:
        self.command, self.folder = command, folder.resolve()
        self.box, self.template = self.folder / "box", self.folder / "template"
        self.log, self.answer = self.folder / "log", self.folder / "answer"
        self.box.mkdir(parents=True)
        self._must(command.before, "preparation")
        shutil.copytree(self.box, self.template, symlinks=True)
        self.before = self._content()
        start = time.monotonic()
        operations = self.folder / "operations"
        self._must(lambda: self._work(self.command.words, counted(operations)), "undisturbed")
        self.seconds = time.monotonic() - start
        self.after = self._content()
        self.operations = operations.read_text(errors="surrogateescape").splitlines()

    def _must(self, work: Callable[[], object], what: str) -> None:
        code = self._run(lambda: (os.chdir(self.box), work())[1])
        if code:
            raise RuntimeError(f"{self.command.name}: {what} ended with {code}\n{self.said()}")

    def said(self) -> str:
        """Return what the last child wrote."""
        return self.log.read_text(errors="replace")

    def _run(self, work: Callable[[], object], kill_after: float | None = None) -> int:
        self.log.write_text("")
        os.environ["RETRIEVAL_CACHE"] = str(self.box / "cache")
        child = children.start(work, self.log)
        if kill_after is not None:
            time.sleep(kill_after)
            children.kill(child)
        return children.wait(child)

    def _work(self, words: str | Callable[[], None], act: Act | None = None) -> None:
        os.chdir(self.box)
        if act is not None:
            watch_operations(self.box, act)
        type_command(words)

    def _content(self) -> dict:
        """Return the content of every run, of every data set and of all else; see a child do it."""

        def work() -> None:
            runs = [p.parent for p in sorted(self.box.glob("runs/*/*/config.yaml"))]
            found = {
                path.relative_to(self.box).as_posix(): content(path)
                for path in runs
                if not path.name.startswith(".")
            }
            if (self.box / "data" / "sop").exists():
                found["data/sop"] = content(self.box / "data" / "sop")
            mine = ("photos", "runs/mine.txt", "runs/folder/mine", "runs/folder/.mine")
            others = {name: _texts(self.box / name) for name in mine}
            problems = problems_of_runs(self.box / "runs")
            problems = [p for p in problems if not p.startswith("mine: ")]
            self.answer.write_text(json.dumps([found, others, problems]))

        if code := self._run(work):
            raise RuntimeError(f"{self.command.name}: the check ended with {code}\n{self.said()}")
        found, others, problems = json.loads(self.answer.read_text())
        return {"found": found, "others": others, "problems": problems}

    def fault(self, name: str, at: int) -> Outcome:
        """Let a fault happen, check what it left, give the command again, and check the end."""
        shutil.rmtree(self.box)
        shutil.copytree(self.template, self.box, symlinks=True)
        outcome = Outcome(self.command.name, name, at)
        if name == "random kill":
            code = self._run(lambda: self._work(self.command.words), at / 1000)
            outcome.finished = code == 0
        elif name == "kill":
            code = self._run(lambda: self._work(self.command.words, kill_at(at)))
            outcome.finished = code == 0
            if code not in (0, KILLED):
                outcome.problems.append(f"ended with {code}, not killed: {self._last_line()}")
        else:
            act = fail_at(at, getattr(errno, name))
            code = self._run(lambda: self._work(self.command.words, act))
            outcome.finished = code == 0
            outcome.problems += self._wrong_words(code)
        left = self._content()
        outcome.problems += [*left["problems"], *self._mixtures(left)]
        outcome.problems += self._goes_on(left, at)
        return outcome

    def _last_line(self) -> str:
        lines = [line for line in self.said().splitlines() if line.strip()]
        return lines[-1][:300] if lines else ""

    def _wrong_words(self, code: int) -> Iterator[str]:
        """Yield what is wrong with how a command said that an operation failed."""
        said = self.said()
        if "Traceback" in said:
            yield f"traceback: {self._last_line()}"
        elif code not in (0, 1):
            yield f"ended with {code}: {self._last_line()}"
        elif code == 1 and said.count("error: ") not in self._lines_of_errors():
            yield f"no single line `error: ...`: {said[-300:]!r}"

    def _lines_of_errors(self) -> range:
        # A sweep says why each of its two runs failed, and then how many did.
        return range(1, 4) if self.command.name == "sweep" else range(1, 2)

    def _mixtures(self, left: dict) -> Iterator[str]:
        """Yield every folder that is neither what it was nor what it was to become."""
        if left["others"] != self.before["others"]:
            yield "something of the user's has changed"
        for name in {*left["found"], *self.before["found"], *self.after["found"]}:
            states = [state["found"].get(name) for state in (self.before, self.after)]
            if left["found"].get(name) not in states:
                yield f"{name} is neither the one of before nor the one of after"

    def _goes_on(self, left: dict, at: int) -> Iterator[str]:
        """Give the command again and yield what is wrong then."""
        words = self.command.words
        partial = self.box / "runs" / "folder" / ".one.partial" / "config.yaml"
        if self.command.again and left["found"] == self.after["found"]:
            words = self.command.again
        elif self.command.resume and at % 2 and partial.exists():
            words = self.command.resume
        if code := self._run(lambda: self._work(words)):
            yield f"given again, it ended with {code}: {self._last_line()}"
            return
        end = self._content()
        yield from end["problems"]
        if end["found"] != self.after["found"]:
            yield f"given again, it ended in another state: {_differing(end, self.after)}"
        known = {"runs/folder/.mine"}
        if words != self.command.words:  # the next command that needs the same cache removes them
            known |= {p.relative_to(self.box).as_posix() for p in self.box.glob("cache/*/.*.lock")}
        if hidden := [path for path in temporaries(self.box) if path not in known]:
            yield f"given again, it left {', '.join(hidden)}"


def _texts(path: Path) -> dict[str, str]:
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return {str(file.name): file.read_bytes().hex()[:2000] for file in files}


def _differing(one: dict, other: dict) -> str:
    names = {*one["found"], *other["found"]}
    parts = []
    for name in sorted(names):
        a, b = one["found"].get(name, {}), other["found"].get(name, {})
        parts += [f"{name}/{file}" for file in sorted({*a, *b}) if a.get(file) != b.get(file)]
    return ", ".join(parts)


def faults_of(bench: Bench, every: int, first: int, randoms: int, seed: int) -> list:
    """List the faults of a command: (kind, where).

    Args:
        bench: The command.
        every: Take every so many-th operation. 0 takes all at which a kill leaves something new,
            see :func:`tests.faults.operations.telling_places`.
        first: Begin with this operation, from 1.
        randoms: Number of kills at random times.
        seed: Seed of those times.
    """
    places = list(range(first, len(bench.operations) + 1, max(1, every)))
    if not every:
        places = telling_places(bench.operations)
    found = [("kill", at) for at in places]
    found += [(errno.errorcode[code], at) for code in FAILURES for at in places]
    draw = random.Random(seed)
    span = int(1000 * bench.seconds)
    return found + [("random kill", draw.randrange(20, max(21, span))) for _ in range(randoms)]


def sweep(
    names: list[str], *, every: int, randoms: int, out: Callable[[Outcome], None],
    kinds: tuple[str, ...] = (), first: int = 1, seconds: float = math.inf,
) -> dict[str, dict[str, int]]:  # fmt: skip
    """Run faults of commands one after the other, until they are done or the time is up.

    They are run in a random order, so that those of any time are spread over the command.

    Returns:
        Command -> its number of file operations, and of the faults that there are.
    """
    end = time.monotonic() + seconds
    warm_up()
    if any(COMMANDS[name].needs_tensorflow for name in names):
        load_tensorflow()
    operations = {}
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(COMMANDS[name], Path(folder))
            wanted = faults_of(bench, every, first, randoms, seed=0)
            wanted = [fault for fault in wanted if not kinds or fault[0] in kinds]
            operations[name] = {"operations": len(bench.operations), "faults": len(wanted)}
            random.Random(0).shuffle(wanted)
            for kind, at in wanted:
                if time.monotonic() > end:
                    break
                out(bench.fault(kind, at))
    return operations


def main() -> None:
    """Sweep the commands that were named, or all, and print one line of JSON per fault."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("commands", nargs="*", default=list(COMMANDS))
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--random", type=int, default=0)
    parser.add_argument("--kinds", default="", help="e.g. kill,ENOSPC; defaults to all")
    parser.add_argument("--seconds", type=float, default=math.inf, help="for all of them")
    given = parser.parse_args()

    def show(outcome: Outcome) -> None:
        print(json.dumps(asdict(outcome)), flush=True)

    operations = sweep(
        given.commands, every=given.every, randoms=given.random, first=given.first,
        kinds=tuple(filter(None, given.kinds.split(","))), out=show, seconds=given.seconds,
    )  # fmt: skip
    print(json.dumps({"operations": operations}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
