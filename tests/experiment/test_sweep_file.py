"""A sweep file that cannot be what its author meant is refused in one line, at once."""

import time

import pytest

from retrieval.errors import UserError
from retrieval.experiment.sweep import MOST_COMBINATIONS, read_grid

BOMB = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "base.*grid"),
        ("# only a comment\n", "base.*grid"),
        ("[1, 2]\n", "base.*grid"),
        ("just text\n", "base.*grid"),
        (BOMB, "line .*more than 100,000 values"),
        ("base: {}\ngrid:\n  loss_options: [{margin: &x [*x]}]\n", "line 3.*alias"),
        ("base: {}\ngrid: {seed: &s [0, *s]}\n", "line 2.*alias"),
        ("base: {}\ngrid:\n  seed: [0]\n  seed: [1]\n", "line 4.*'seed'.*twice.*line 3"),
        ("base: {steps: 5, steps: 6}\n", "line 1.*'steps'.*twice"),
        ("base: {}\ngrid: {loss_options: [{margin: 1, margin: 2}]}\n", "line 2.*'margin'.*twice"),
        ("base: {}\nbase: {}\n", "line 2.*'base'.*twice"),
        ("base: !!python/object/apply:os.system ['true']\n", "tag"),
        ("base: !mine {}\n", "tag"),
        ("base: {seed: " + "9" * 5000 + "}\n", "cannot be read"),
        ("base: {data: 2026-13-45}\n", "cannot be read"),
        ("base: " + "[" * 5000 + "]" * 5000, "nested"),
        ("base: {1: 2}\n", "name of a setting"),
        ("grid: {null: [2]}\n", "name of a setting"),
        ("base: {? [a] : 1}\n", "YAML"),
        ("base: {}\n---\nbase: {}\n", "YAML"),
        ("base: {dataset: typefaces\n", "YAML"),
        ("base: \x00\n", "YAML"),
        ("a" * 2_000_000, "characters"),
        (b"base: {data: caf\xe9}\n", "UTF-8"),
        ("base: {}\n".encode("utf-16"), "UTF-8"),
    ],
    ids=range(25),
)
def test_a_malformed_file_is_refused_in_one_line_that_names_it(tmp_path, text, message):
    path = tmp_path / "grid.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    start = time.process_time()  # not the time of others on a busy machine
    with pytest.raises(UserError, match=message) as caught:
        read_grid(path)
    assert time.process_time() - start < 5
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    assert len(line) < 1000


def test_aliases_merge_keys_and_a_byte_order_mark_are_read(tmp_path):
    path = tmp_path / "grid.yaml"
    path.write_text(
        "\ufeffbase: &b {loss: npairs_loss, steps: 5}\ngrid:\n  seed: &s [0, 1]\n  steps: *s\n"
        .replace("steps: *s", "learning_rate: [0.1]"),
        encoding="utf-8",
    )  # fmt: skip
    assert [run.seed for run in read_grid(path).runs.values()] == [0, 1]
    path.write_text("base:\n  <<: {steps: 5, seed: 3}\n  seed: 4\n")
    (run,) = read_grid(path).runs.values()
    assert (run.steps, run.seed) == (5, 4)


def test_a_grid_of_a_million_runs_is_refused_with_its_count(tmp_path):
    path = tmp_path / "grid.yaml"
    values = list(range(1, 1001))
    path.write_text(f"base: {{loss: npairs_loss}}\ngrid: {{seed: {values}, steps: {values}}}\n")
    with pytest.raises(UserError, match=r"1,000 x 1,000 = 1,000,000 combinations") as caught:
        read_grid(path)
    assert f"{MOST_COMBINATIONS:,}" in str(caught.value)


def test_equal_combinations_are_found_without_comparing_all_pairs(tmp_path):
    path = tmp_path / "grid.yaml"
    values = [0.5 + each / 1000 for each in range(300)]
    options = ", ".join(f"{{margin: {value}}}" for value in [*values, *values, 1, 1.0])
    path.write_text(f"base: {{loss: hard_triplet}}\ngrid: {{loss_options: [{options}]}}\n")
    grid = read_grid(path)
    assert grid.combinations == 602
    assert len(grid.runs) == 301
