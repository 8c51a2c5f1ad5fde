"""A run folder is checked when it is opened; an error is one line and names a remedy."""

import pandas as pd
import pytest

from tests.runs.helpers import reason_not_opened


def test_labels_that_are_no_numbers_are_refused(made):
    items = pd.read_parquet(made / "items.parquet")
    items.assign(label="a").to_parquet(made / "items.parquet")
    assert "items.parquet: labels must be whole numbers" in reason_not_opened(made)


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
    (made / file).unlink()
    assert f"{file} is missing; make it with `retrieval {command}`" in reason_not_opened(made)
