"""The lists that benchmarks come with: a malformed row is named."""

import pytest

from retrieval.datasets.official import read_table
from retrieval.errors import UserError

COLUMNS = {"id": int, "path": str, "x": float}


def test_values_have_the_declared_types(tmp_path):
    (tmp_path / "list.txt").write_text("head\n1 a/b.jpg 2\n2 c.jpg 0.5\n")
    table = read_table(tmp_path / "list.txt", COLUMNS, skip=1)
    assert table.to_dict("list") == {"id": [1, 2], "path": ["a/b.jpg", "c.jpg"], "x": [2.0, 0.5]}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("two a.jpg 1", r"list.txt row 3: id is 'two' \(columns: id, path, x\)$"),
        ("2 a.jpg one", r"list.txt row 3: x is 'one' \(columns: id, path, x\)$"),
        ("2 a.jpg", "list.txt row 3: expected id, path, x$"),
        ("2", "list.txt row 3: expected id, path, x$"),
        ("2 a.jpg 1 1", "list.txt row 3: expected id, path, x; found 4 values$"),
        ("2 a b.jpg 1 1", "list.txt row 3: expected id, path, x; found 5 values$"),
        ("1.5 a.jpg 1", r"list.txt row 3: id is '1.5' \(columns: id, path, x\)$"),
    ],
)
def test_a_malformed_row_is_named_in_one_line(tmp_path, row, message):
    (tmp_path / "list.txt").write_text(f"head\n1 a.jpg 1\n{row}\n3 b.jpg 1\n")
    with pytest.raises(UserError, match=message) as caught:
        read_table(tmp_path / "list.txt", COLUMNS, skip=1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("separator", [" ", r"\s+"])
def test_a_list_of_too_many_columns_is_not_read_shifted_by_one(tmp_path, separator):
    (tmp_path / "list.txt").write_text("head\n7 1 a.jpg 1\n7 2 b.jpg 1\n")
    with pytest.raises(UserError, match=r"list\.txt row 2: expected id, path, x; found 4 values$"):
        read_table(tmp_path / "list.txt", COLUMNS, skip=1, separator=separator)
