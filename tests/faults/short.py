"""The most telling part of all faults, fuzzing and crowds, in one process that warms up once.

python -m tests.faults.short
"""

import json
from dataclasses import asdict

from tests.faults.crowd import play
from tests.faults.fuzz import fuzz_in_children
from tests.faults.readers import READERS
from tests.faults.sweep import Outcome, sweep
from tests.faults.warm import warm_up

# Publication of a run with all of its files and notes: a kill and a full disk, at one operation.
COMMANDS, EVERY, FIRST = ("note", "import --overwrite"), 80, 9
KINDS = ("kill", "ENOSPC")
FUZZED = (
    *("items.csv", "embeddings .npy", "embeddings .parquet", "embeddings .h5", "embeddings .pt"),
    *("run: metrics.json", "archives"),
)
INPUTS = 7  # of each share
SCENES = {"notes by many writers": 5, "import --overwrite during evaluate": 4}


def main() -> None:
    """Run them and print one line of JSON for each fault, reader and scene."""

    def show(part: str, found: dict) -> None:
        print(json.dumps({"part": part} | found), flush=True)

    def show_fault(outcome: Outcome) -> None:
        show("faults", asdict(outcome))

    warm_up()
    sweep([*COMMANDS], every=EVERY, first=FIRST, randoms=0, kinds=KINDS, out=show_fault)
    for name in FUZZED:
        reader = READERS[name]
        show("fuzz", fuzz_in_children(reader, INPUTS * reader.share))
    for scene, size in SCENES.items():
        show("crowds", play(scene, size))


if __name__ == "__main__":
    main()
