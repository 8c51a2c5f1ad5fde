"""A short sweep of what `make faults`, `make fuzz` and `make crowds` do at length."""

import json
import os
import subprocess
import sys

import pytest

from tests.faults import short
from tests.faults.figures import table, write_section
from tests.faults.operations import telling_places

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it forks, and reads /proc")


@pytest.fixture(scope="module")
def found():
    """What the short sweep prints: a line for each fault, reader and scene."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.short"], capture_output=True, text=True, check=False,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "least"),
    [("faults", 4), ("fuzz", len(short.FUZZED)), ("crowds", len(short.SCENES))],
    ids=["runs survive faults", "readers refuse in one line", "processes at once lose nothing"],
)
def test_nothing_is_wrong_after(found, part, least):
    lines = [line for line in found if line["part"] == part]
    assert [line for line in lines if line["problems"]] == []
    assert len(lines) >= least


def test_places_at_which_a_kill_leaves_nothing_new_are_left_out():
    copies = [f"{event} /runs/.one.next/.tmp-abcdefgh-{name}" for name in "abcde"
              for event in ("os.mkdir", "os.link", "os.rename", "os.rmdir")]  # fmt: skip
    write = ["void os.mkdir /a", "open /a/.tmp-abcdefgh-b", "void os.chmod /a/.tmp-abcdefgh-b",
             "os.rename /a/b", "void os.remove /a/.tmp-abcdefgh-b"]  # fmt: skip
    assert telling_places(write) == [1, 3, 5]
    assert len(telling_places(copies)) < len(copies)


def test_results_are_replaced_section_by_section(tmp_path):
    path = tmp_path / "reliability.md"
    write_section("Fuzzing", "old", path)
    write_section("Faults", table(("command", "kills"), [("note", 3)]), path)
    write_section("Fuzzing", "new", path)
    text = path.read_text()
    assert "old" not in text
    assert text.index("| note | 3 |") < text.index("## Fuzzing\n\nnew")
