"""A run folder is checked when it is opened; an error is one line and names a remedy."""

import os
import re
import shlex

import pandas as pd
import pytest

from retrieval.runs.run import REQUIRED_FILES
from tests.runs.helpers import reason_not_opened


def test_labels_that_are_no_numbers_are_refused(made):
    items = pd.read_parquet(made / "items.parquet")
    items.assign(label="a").to_parquet(made / "items.parquet")
    assert "items.parquet: labels must be whole numbers" in reason_not_opened(made)


@pytest.mark.parametrize("role", [None, pd.NA, "probe"])
def test_a_role_that_there_is_not_is_refused(made, role):
    items = pd.read_parquet(made / "items.parquet")
    items.loc[3, "role"] = role
    items.to_parquet(made / "items.parquet")
    assert "items.parquet: row 3 has the role" in reason_not_opened(made)


@pytest.mark.parametrize(
    ("file", "command"),
    [
        ("embeddings.npy", "embed"),
        ("items.parquet", "embed"),
        ("neighbours.npz", "evaluate"),
        ("metrics.json", "evaluate"),
    ],
)
def test_a_missing_file_comes_with_the_command_that_makes_it(made, file, command):
    (made / "checkpoints").mkdir(exist_ok=True)
    (made / file).unlink()
    reason = reason_not_opened(made)
    assert f"{file} is missing" in reason
    assert f"`retrieval {command} {made}`" in reason


def test_embeddings_that_no_checkpoint_makes_come_without_such_a_command(made):
    (made / "embeddings.npy").unlink()
    assert "retrieval embed" not in reason_not_opened(made)


@pytest.mark.parametrize("name", REQUIRED_FILES)
def test_a_pipe_in_place_of_a_file_is_damage_and_is_not_waited_for(made, name):
    (made / name).unlink()
    os.mkfifo(made / name)
    assert "not a file" in reason_not_opened(made)


def test_the_command_that_mends_a_run_can_be_typed_as_it_is(made):
    path = made.rename(made.with_name("my run"))
    (path / "metrics.json").write_text("{")
    command = re.search("`(.*)`", reason_not_opened(path))[1]
    assert shlex.split(command) == ["retrieval", "evaluate", str(path)]


def test_a_folder_of_something_else_is_said_to_be_no_run(made):
    reason = reason_not_opened(made.parent)
    assert "not a run" in reason
    assert "--overwrite" not in reason
