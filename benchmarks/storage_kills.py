"""Kill processes that publish a run at a URL, at random moments, while another machine reads it.

An S3 server (moto) runs on this machine. A process replaces a run, by one of kind 0 and one of kind
1 in turn, and is killed with SIGKILL: some before, most while files are being sent. Another
process, with another cache, opens the run again and again and checks that every part of it is of
one kind. After each kill, the same command is given again and must end with its run. Prints one row
per kill, and a summary::

    python benchmarks/storage_kills.py --kills 20
"""

import argparse
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import boto3
import numpy as np
from moto.server import ThreadedMotoServer

from retrieval.runs.importing import import_files
from retrieval.runs.store import new_run, open_run, publish
from retrieval.storage.addresses import located
from retrieval.storage.manifests import NOTHING, newest
from retrieval.storage.objects import Objects

ITEMS, WIDTH = 320, 32
PADDING = 32 << 20  # bytes of each of three more files, so that sending takes a moment
URL = "s3://lab/runs"
RUN = f"{URL}/imported/run"


def kind_of(path: Path | str) -> int:
    """Return the kind of embeddings that a run was made of, after checking that all parts agree."""
    run = open_run(path, neighbors=True)
    kinds = {
        int(run.embeddings[0, 0] > 0),
        int(run.items["label"].nunique() == ITEMS // 8),
        int(run.result().protocol.n_queries and run.result().metric("recall@1").value > 0.5),
    }
    kinds |= {(run.path / f"padding-{number}").read_bytes()[0] for number in range(3)}
    if run.has_changed():  # while it was read
        return kind_of(path)
    assert len(kinds) == 1, kinds
    return kinds.pop()


def write_inputs(folder: Path) -> None:
    """Write embeddings of two kinds: of noise and 1,000 classes, or of 500 classes that show."""
    rng = np.random.default_rng(0)
    for kind, per_class in enumerate((4, 8)):
        labels = np.arange(ITEMS) // per_class
        centers = rng.standard_normal((labels.max() + 1, WIDTH))
        vectors = rng.standard_normal((ITEMS, WIDTH)) + kind * 2 * centers[labels]
        vectors[0, 0] = 1.0 if kind else -1.0
        np.save(folder / f"kind-{kind}.npy", vectors.astype(np.float32))
        lines = ["label", *map(str, labels)]
        (folder / f"kind-{kind}.csv").write_text("\n".join(lines) + "\n")


def make(folder: Path, kind: int) -> None:
    """Replace the run at the URL by that of a kind."""
    path = located(RUN)
    with new_run(path) as partial:
        shutil.copytree(folder / "made" / "imported" / f"kind-{kind}", partial, dirs_exist_ok=True)
        for number in range(3):  # of a content of its own each time, so that it has to be sent
            (partial / f"padding-{number}").write_bytes(bytes([kind]) + os.urandom(PADDING))
        publish(path, overwrite=True)


def command(folder: Path, kind: int) -> subprocess.Popen:
    """Start a process that makes the run of a kind."""
    words = [sys.executable, __file__, "--folder", str(folder), "--make", str(kind)]
    environment = os.environ | {"RETRIEVAL_CACHE": str(folder / "writer")}
    with (folder / "output").open("w") as output:
        return subprocess.Popen(words, env=environment, stdout=output, stderr=output)


def read_for_ever(folder: Path) -> None:
    """Open the run again and again; a part of another kind ends this process with an error."""
    os.environ["RETRIEVAL_CACHE"] = str(folder / "reader")
    count, kinds = 0, set()
    while True:
        kinds.add(kind_of(RUN))
        count += 1
        (folder / "read").write_text(f"{count} {sorted(kinds)}")


def kill_one(folder: Path, kind: int, rng: random.Random) -> tuple[str, int]:
    """Start the command, kill it, and return the moment and the number of objects sent by then."""
    objects = Objects(RUN)
    before = set(objects.list("objects"))
    child = command(folder, kind)
    before_sending = rng.random() < 0.2
    moment, wait = "before", rng.uniform(0.0, 6.0)
    if not before_sending:
        moment, wait = "sending", rng.uniform(0.0, 0.3)
        while child.poll() is None and set(objects.list("objects")) == before:
            time.sleep(0.005)
    time.sleep(wait)
    child.send_signal(signal.SIGKILL)
    child.wait()
    return moment if child.returncode == -signal.SIGKILL else "ended", len(
        set(objects.list("objects")) - before
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--make", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.make is not None:
        make(given.folder, given.make)
        return
    if given.folder is not None:
        read_for_ever(given.folder)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    os.environ |= {
        "AWS_ENDPOINT_URL": "http://{}:{}".format(*server.get_host_and_port()),
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    boto3.client("s3").create_bucket(Bucket="lab")
    rng, kills = random.Random(0), []
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        os.environ["RETRIEVAL_CACHE"] = str(folder / "driver")
        write_inputs(folder)
        for kind in (0, 1):
            sides = [(folder / f"kind-{kind}.npy", folder / f"kind-{kind}.csv")]
            import_files(folder / "made" / "imported" / f"kind-{kind}", sides)
        assert command(folder, 0).wait() == 0
        reader = subprocess.Popen([sys.executable, __file__, "--folder", str(folder)])
        kind = 0
        for number in range(given.kills):
            state, wanted = newest(Objects(RUN)), 1 - kind
            moment, sent = kill_one(folder, wanted, rng)
            after = newest(Objects(RUN))
            assert after != NOTHING
            seen = kind_of(RUN)
            assert seen == (kind if after == state else wanted)
            whole = "old" if after == state else "new"
            child = command(folder, wanted)
            assert child.wait() == 0, (folder / "output").read_text()
            kind = kind_of(RUN)
            assert kind == wanted
            assert reader.poll() is None, "the reader found parts of two runs"
            kills.append((moment, whole))
            print(
                f"{number + 1:3}  {moment:10}  {sent:2} objects sent  readers saw the {whole} run"
                "  the next command made the run",
                flush=True,
            )
        time.sleep(5)
        assert reader.poll() is None
        reader.kill()
        reader.wait()
        reads = (folder / "read").read_text()
        left = len(Objects(RUN).list("objects"))
    server.stop()
    counted = {pair: kills.count(pair) for pair in sorted(set(kills))}
    print(
        f"{len(kills)} kills: {counted}; a reader opened the run {reads} times, whole each time; "
        f"{left} objects in the store"
    )


if __name__ == "__main__":
    main()
