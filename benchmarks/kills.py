"""Lose nodes and drivers at random moments, ten times each, and compare with a run undisturbed.

A cluster of three nodes (``ray.cluster_utils.Cluster``) runs on this machine; the commands are real
processes, so that killing one is what a user's machine does to it. For each scenario:

1. The commands run undisturbed, on this machine without Ray: the reference.
2. Ten times: the commands run on the cluster, and a *node* is killed with all its processes at a
   random moment after the work has begun; another node joins. They must finish by themselves.
3. Ten times: the *driver* (the command) is killed at a random moment, and the same command is
   given again. It must finish.

After each, what the scenario names as its results must be equal to the reference, byte by byte
where that is possible. `benchmarks/results/kills.md` has one row per scenario and kind of kill.

Run it with ``python -m benchmarks.kills [--only sweep] [--kills 10]``. Results are kept in
``--work`` (``/tmp/kills``) after each kill, so that it goes on where it was stopped.

**To add a scenario**, write a function that returns a :class:`Scenario`, and one entry in
``SCENARIOS``. A scenario is three functions of plain values:

* ``command(folder, on)``: the arguments of one ``retrieval`` command that does the work in an empty
  folder; ``on`` is ``local`` or ``ray`` (put it after ``--on``). It is run with ``folder`` as its
  working folder, and given again, unchanged, after a kill of the driver.
* ``has_begun(folder)``: whether the work has begun, so that a kill can interrupt something. The
  moment of the kill is drawn from the time after this, up to the time that the undisturbed run
  took on the cluster.
* ``results(folder)``: name -> anything that compares with ``==`` (bytes, numbers, arrays as bytes):
  what must be equal.

``prepare(folder)`` may put inputs there first (default: nothing). It runs once per repetition.
"""

import argparse
import functools
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "kills.md"
NODE, DRIVER = "node", "driver"
LONGEST = 1800.0  # seconds of one command, all repetitions of a kill together
POLL = 0.1
RECORD = "kills.jsonl"  # of a scenario, in its folder
END = "\n<!-- end of the table; what follows is kept -->\n"


@dataclass(frozen=True)
class Scenario:
    """One kind of work that must survive.

    Attributes:
        what: In words, for the table.
        command: Arguments of ``retrieval``, from the folder and from where it runs.
        has_begun: Whether a kill would interrupt something.
        results: What must be equal to the undisturbed run.
        prepare: Puts inputs into the empty folder. Defaults to nothing.
    """

    what: str
    command: Callable[[Path, str], Sequence[str]]
    has_begun: Callable[[Path], bool]
    results: Callable[[Path], Mapping[str, Any]]
    prepare: Callable[[Path], None] = lambda folder: None


def photos(**options: Any) -> Callable[[Path], None]:
    """Return what puts photos of single colors into a folder; see ``tests/photos.py``."""

    def prepare(folder: Path) -> None:
        from tests.photos import write_colors

        write_colors(folder / "images", **options)

    return prepare


def has_checkpoint(folder: Path) -> bool:
    """Tell whether an unfinished training has saved a checkpoint."""
    return any(folder.glob("runs/*/.*.partial/checkpoints/*"))


def sweep() -> Scenario:
    """Four runs of a small network, two at a time; checkpoints every 20 steps."""
    grid = {
        "base": {
            "dataset": "folder", "data": "images", "backbone": "conv4", "weights": "none",
            "image_size": 16, "embedding_size": 8, "classes_per_batch": 3, "samples_per_class": 2,
            "steps": 200, "eval_every": 20, "learning_rate": 0.01,
        },
        "grid": {"loss": ["npairs_loss", "semi_hard_triplet"], "seed": [0, 1]},
    }  # fmt: skip

    def prepare(folder: Path) -> None:
        photos(seed=0, scale=30)(folder)
        (folder / "grid.yaml").write_text(json.dumps(grid))  # JSON is YAML

    def command(folder: Path, on: str) -> Sequence[str]:
        return ["sweep", "grid.yaml", "--on", on]

    return Scenario(
        "sweep of 4 runs",
        command,
        has_checkpoint,
        lambda folder: run_files(folder / "runs"),
        prepare,
    )


def embed() -> Scenario:
    """192 photos, of which four are missing and four damaged, in parts of 8, by a small network."""

    @functools.cache
    def trained() -> Path:
        from retrieval import TrainSettings, train
        from tests.photos import write_colors

        folder = Path(tempfile.mkdtemp(prefix="kills-embed-"))
        settings = TrainSettings(
            dataset="folder", data=str(write_colors(folder / "images", seed=0, scale=30)),
            backbone="conv4", weights="none", image_size=16, embedding_size=8, steps=4,
            classes_per_batch=3, samples_per_class=2,
        )  # fmt: skip
        return train(settings, runs=folder / "runs", progress=False)

    def prepare(folder: Path) -> None:
        shutil.copytree(trained(), folder / "run")
        photos(seed=1, scale=30)(folder)
        names = sorted(path.relative_to(folder) for path in folder.glob("images/*/*.png"))
        (folder / names[7]).write_bytes(b"no image")
        (folder / names[20]).unlink()
        lines = ["path,copy"]
        for copy in range(4):
            for name in names:
                other = name.with_name(f"{name.stem}-{copy}.png")
                if (folder / name).exists():
                    os.link(folder / name, folder / other)
                lines.append(f"{other},{copy}")
        (folder / "list.csv").write_text("\n".join(lines) + "\n")

    def command(folder: Path, on: str) -> Sequence[str]:
        more = ["--actors", "2"] if on != "local" else []
        return ["embed", "run", "--images", "list.csv", "--out", "vectors.npy",
                "--part-images", "8", "--on", on, *more]  # fmt: skip

    def results(folder: Path) -> Mapping[str, Any]:
        names = ("vectors.npy", "vectors.items.csv", "vectors.skipped.csv")
        return {name: (folder / name).read_bytes() for name in names}

    return Scenario(
        "embedding of 24 parts",
        command,
        lambda folder: any(folder.glob(".vectors.npy.partial/*.json")),
        results,
        prepare,
    )


def evaluate() -> Scenario:
    """4,000 items of 200 classes, a quarter of them queries: two protocols of 24 shards each."""

    @functools.cache
    def imported() -> Path:
        import numpy as np
        import pandas as pd

        from retrieval.runs.importing import import_files

        folder = Path(tempfile.mkdtemp(prefix="kills-evaluate-"))
        rng, codes = np.random.default_rng(0), np.arange(4000) % 200
        rows = rng.standard_normal((200, 32))[codes] + 1.2 * rng.standard_normal((4000, 32))
        np.save(folder / "e.npy", rows.astype(np.float32))
        roles = np.where(np.arange(4000) // 200 % 4 == 0, "query", "gallery")
        pd.DataFrame({"label": codes, "role": roles}).to_csv(folder / "items.csv", index=False)
        files = [(folder / "e.npy", folder / "items.csv")]
        return import_files(folder / "runs" / "shop" / "one", files, progress=False)

    def prepare(folder: Path) -> None:
        shutil.copytree(imported(), folder / "runs" / "shop" / "one")

    def command(folder: Path, on: str) -> Sequence[str]:
        return ["evaluate", "runs/shop/one", "--shards", "24", "--on", on]

    return Scenario(
        "evaluation in 48 shards",
        command,
        lambda folder: any(folder.glob("runs/shop/.one.shards/*/shard-*.npz")),
        lambda folder: run_files(folder / "runs"),
        prepare,
    )


def workers() -> Scenario:
    """One run on two workers; a checkpoint every 20 steps."""

    def command(folder: Path, on: str) -> Sequence[str]:
        return ["train", "--dataset", "folder", "--data", "images", "--backbone", "conv4",
                "--weights", "none", "--image-size", "16", "--embedding-size", "8",
                "--classes-per-batch", "4", "--samples-per-class", "2", "--steps", "200",
                "--eval-every", "20", "--learning-rate", "0.01", "--loss", "proxy_anchor",
                "--distribute", "workers", "--workers", "2", "--on", on]  # fmt: skip

    return Scenario(
        "one run on two workers",
        command,
        has_checkpoint,
        lambda folder: run_files(folder / "runs"),
        photos(seed=0, scale=30),
    )


def tune() -> Scenario:
    """Two losses of eight trials each, in generations of four, then four runs."""

    def command(folder: Path, on: str) -> Sequence[str]:
        return [
            "tune", "--losses", "npairs_loss,proxy_anchor", "--trials", "8", "--folds", "2",
            "--seeds", "1", "--at-once", "4", "--dataset", "folder", "--data", "images",
            "--backbone", "conv4", "--weights", "none", "--image-size", "16",
            "--embedding-size", "8", "--classes-per-batch", "2", "--samples-per-class", "2",
            "--steps", "8", "--freeze-backbone", "--on", on,
        ]  # fmt: skip

    def has_begun(folder: Path) -> bool:
        return any(folder.glob("runs/*/.tuning/*/journal.log"))

    def results(folder: Path) -> Mapping[str, Any]:
        from retrieval.runs.tuning import list_tunings, read_tuning

        (record,) = list_tunings(folder / "runs")
        tuning = read_tuning(record)
        trials = {
            f"{loss} {trial.number}": (trial.point, trial.result.state, trial.result.values)
            for loss, made in tuning.trials.items()
            for trial in made
        }
        counted = {loss: len(made) for loss, made in tuning.trials.items()}
        return {"trials": counted, **trials, **run_files(folder / "runs")}

    prepare = photos(seed=1, scale=60, classes=16, each=4)
    return Scenario("tuning of 2 losses, 8 trials each", command, has_begun, results, prepare)


SCENARIOS: dict[str, Callable[[], Scenario]] = {
    "sweep": sweep,
    "embed": embed,
    "evaluate": evaluate,
    "workers": workers,
    "tune": tune,
}


def run_files(runs: Path) -> dict[str, str]:
    """Return what the finished runs below a folder consist of: path of each file -> digest.

    Arrays of HDF5 and NumPy archives are compared as numbers, as those files hold times.
    ``config.yaml`` is left out: it tells how long a run took, and where.
    """
    from tests.faults.state import content

    return {
        f"{run.relative_to(runs).as_posix()}/{file}": digest
        for run in sorted(path for path in runs.glob("*/*") if not path.name.startswith("."))
        for file, digest in content(run).items()
        if file != "config.yaml"
    }


@dataclass(frozen=True)
class Kill:
    """One kill and what came of it.

    Attributes:
        scenario: Name of the scenario.
        victim: ``node`` or ``driver``.
        number: Which of the repetitions.
        after: Seconds from the beginning of the work to the kill.
        hit: Whether the work was not finished yet.
        seconds: Seconds until all was finished.
        equal: Whether all results are those of the undisturbed run.
        different: Names of results that are not.
    """

    scenario: str
    victim: str
    number: int
    after: float
    hit: bool
    seconds: float
    equal: bool
    different: list[str]


def start(arguments: Sequence[str], folder: Path) -> subprocess.Popen[bytes]:
    """Begin a command in a folder, as a process of its own group."""
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "RETRIEVAL_CACHE": str(folder / "cache"),
        "OMP_NUM_THREADS": "1",
        "TF_NUM_INTRAOP_THREADS": "1",
    }
    with (folder / "log.txt").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "retrieval.cli", *arguments],
            cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip


def wait(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait until a command has succeeded."""
    if process.wait(timeout=LONGEST):
        lines = (folder / "log.txt").read_text().splitlines()[-12:]
        raise SystemExit(f"{folder}: exit code {process.returncode}\n" + "\n".join(lines))


def undisturbed(scenario: Scenario, folder: Path, on: str) -> float:
    """Do the work without a kill; return the seconds from its beginning to its end."""
    folder.mkdir(parents=True)
    scenario.prepare(folder)
    process = start(scenario.command(folder, on), folder)
    until_begun(scenario, process, folder)
    begun = time.monotonic()
    wait(process, folder)
    return time.monotonic() - begun


def until_begun(scenario: Scenario, process: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait until the work of a command has begun."""
    deadline = time.monotonic() + LONGEST
    while process.poll() is None and not scenario.has_begun(folder):
        if time.monotonic() > deadline:
            raise SystemExit(f"{folder}: has not begun within {LONGEST:.0f} s")
        time.sleep(POLL)


def disturbed(
    scenario: Scenario,
    folder: Path,
    victim: str,
    after: float,
    machines: Any,
    chance: random.Random,
) -> tuple[bool, float]:
    """Do the work with one kill; return whether it hit anything, and the seconds to the end."""
    folder.mkdir(parents=True)
    scenario.prepare(folder)
    machines.keep(2)
    process = start(scenario.command(folder, "ray"), folder)
    until_begun(scenario, process, folder)
    begun = time.monotonic()
    while process.poll() is None and time.monotonic() - begun < after:
        time.sleep(POLL)
    hit = process.poll() is None
    if victim == NODE:
        machines.lose(chance.choice(machines.added))
        machines.keep(2)
    elif hit:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process = start(scenario.command(folder, "ray"), folder)
    wait(process, folder)
    return hit, time.monotonic() - begun


def recorded(name: str, work: Path) -> list[Kill]:
    """Return the kills of a scenario that were made so far."""
    record = work / name / RECORD
    return [Kill(**json.loads(line)) for line in record.open()] if record.exists() else []


def kill_many(name: str, kills: int, work: Path) -> list[Kill]:
    """Return what came of all kills of a scenario; those that were done before are read."""
    from tests.clusters import started

    record, done = work / name / RECORD, recorded(name, work)
    record.parent.mkdir(parents=True, exist_ok=True)
    todo = [(victim, number) for victim in (NODE, DRIVER) for number in range(kills)]
    todo = [each for each in todo if each not in {(kill.victim, kill.number) for kill in done}]
    if not todo:
        return done
    scenario = SCENARIOS[name]()
    reference = fresh(work / name / "reference")
    undisturbed(scenario, reference, "local")
    expected = dict(scenario.results(reference))
    # The head has no processors: it is never lost, so nothing should run there.
    with started(nodes=3, cpus=2, head_cpus=0) as machines:
        took = undisturbed(scenario, fresh(work / name / "on-cluster"), "ray")
        assert dict(scenario.results(work / name / "on-cluster")) == expected
        for victim, number in todo:
            chance = random.Random(f"{name} {victim} {number}")
            after = chance.uniform(0, took)
            folder = fresh(work / name / f"{victim}-{number}")
            hit, seconds = disturbed(scenario, folder, victim, after, machines, chance)
            found = dict(scenario.results(folder))
            different = sorted(k for k in {*expected, *found} if expected.get(k) != found.get(k))
            kill = Kill(name, victim, number, after, hit, seconds, not different, different[:5])
            done.append(kill)
            with record.open("a") as file:
                file.write(json.dumps(asdict(kill)) + "\n")
            print(kill, flush=True)
    return done


def fresh(folder: Path) -> Path:
    """Return a folder that is not there."""

    shutil.rmtree(folder, ignore_errors=True)
    return folder


def table(found: Mapping[str, Sequence[Kill]]) -> str:
    """Return all results as Markdown."""
    lines = [
        "# Nodes and drivers killed at random moments",
        "",
        "Three nodes on one machine (`ray.cluster_utils.Cluster`), real processes killed with",
        "SIGKILL; written by `python -m benchmarks.kills`. Results are compared with the same",
        "command undisturbed and without Ray: weights, history, embeddings, neighbors and metrics,",
        "bit by bit.",
        "",
        "| scenario | killed | kills | while at work | finished | identical | median s |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, kills in found.items():
        for victim in (NODE, DRIVER):
            of = [kill for kill in kills if kill.victim == victim]
            if of:
                seconds = statistics.median(kill.seconds for kill in of)
                lines.append(
                    f"| {SCENARIOS[name]().what} | {victim} | {len(of)} | "
                    f"{sum(kill.hit for kill in of)} | {len(of)} | "
                    f"{sum(kill.equal for kill in of)} | {seconds:.0f} |"
                )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=sorted(SCENARIOS), default=sorted(SCENARIOS))
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--work", type=Path, default=Path("/tmp/kills"))
    options = parser.parse_args()
    for name in options.only:
        kill_many(name, options.kills, options.work)
    found = {name: recorded(name, options.work) for name in SCENARIOS}
    _, _, notes = RESULTS.read_text(encoding="utf-8").partition(END)
    RESULTS.write_text(table(found) + END + notes, encoding="utf-8")


if __name__ == "__main__":
    main()
