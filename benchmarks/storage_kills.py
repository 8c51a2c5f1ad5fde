"""Kill commands that publish a run at a URL, at random moments, while another machine reads it.

An S3 server (moto) runs on this machine. A command replaces a run by ``retrieval import
--overwrite``, now with embeddings of kind 0, now of kind 1, and is killed with SIGKILL: some during
the evaluation, most while files are being sent. Another process, with another cache, opens the run
again and again and checks that every part of it is of one kind. After each kill, the same command
is given again and must end with its run. Prints one row per kill, and a summary::

    python benchmarks/storage_kills.py --kills 20
"""

import argparse
import logging
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import boto3
import numpy as np
from moto.server import ThreadedMotoServer

from retrieval.runs.store import open_run
from retrieval.storage.manifests import NOTHING, newest
from retrieval.storage.objects import Objects

ITEMS, WIDTH = 4000, 1024
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


def command(folder: Path, kind: int) -> subprocess.Popen:
    """Start the command that makes the run of a kind."""
    words = ["import", "--embeddings", f"kind-{kind}.npy", "--items", f"kind-{kind}.csv"]
    words += ["--name", "run", "--runs", URL, "--overwrite"]
    return subprocess.Popen(
        [sys.executable, "-m", "retrieval.cli", *words],
        cwd=folder,
        env=os.environ | {"RETRIEVAL_CACHE": str(folder / "writer")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


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
    during_evaluation = rng.random() < 0.2
    moment, wait = "evaluating", rng.uniform(3.0, 8.0)
    if not during_evaluation:
        moment, wait = "sending", rng.uniform(0.0, 0.6)
        while child.poll() is None and set(objects.list("objects")) == before:
            time.sleep(0.005)
    time.sleep(wait)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    return moment if child.returncode == -signal.SIGKILL else "ended", len(
        set(objects.list("objects")) - before
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.read:
        read_for_ever(given.read)
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
        assert command(folder, 0).wait() == 0
        reader = subprocess.Popen([sys.executable, __file__, "--read", str(folder)])
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
            output, _ = child.communicate()
            assert child.returncode == 0, output
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
