"""A short sweep of what `make faults`, `make fuzz` and `make crowds` do at length."""

import json
import os
import subprocess
import sys

import pytest

from tests.faults.figures import table, write_section

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it forks, and reads /proc")


def problems(module, *words):
    """Run a module of this folder; return its lines with problems, and the number of lines."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.faults.{module}", *map(str, words)],
        capture_output=True, text=True, check=False, env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines, done.stderr[-2000:]
    return [line for line in lines if line.get("problems")], len(lines)


def test_runs_survive_kills_at_file_operations():
    wrong, count = problems(
        "sweep", "note", "evaluate", "import --overwrite", "--every", 45, "--first", 9,
        "--kinds", "kill",
    )  # fmt: skip
    assert wrong == []
    assert count > 5


def test_a_training_survives_kills_at_file_operations():
    wrong, count = problems("sweep", "train", "--every", 200, "--first", 60, "--kinds", "kill")
    assert wrong == []
    assert count > 1


def test_readers_refuse_wrong_inputs_in_one_line():
    readers = ("items.csv", "embeddings .npy", "embeddings .npz", "embeddings .parquet",
               "embeddings .h5", "embeddings .pt", "run: metrics.json")  # fmt: skip
    wrong, count = problems("fuzz", *readers, "--inputs", 25)
    assert wrong == []
    assert count == len(readers)


def test_processes_at_once_lose_nothing():
    scenes = ("notes by many writers", "import --overwrite during evaluate")
    wrong, count = problems("crowd", *scenes, "--sizes", 5)
    assert wrong == []
    assert count == len(scenes)


def test_results_are_replaced_section_by_section(tmp_path):
    path = tmp_path / "reliability.md"
    write_section("Fuzzing", "old", path)
    write_section("Faults", table(("command", "kills"), [("note", 3)]), path)
    write_section("Fuzzing", "new", path)
    text = path.read_text()
    assert "old" not in text
    assert text.index("| note | 3 |") < text.index("## Fuzzing\n\nnew")
