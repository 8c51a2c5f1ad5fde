"""Columns of metadata: text is given its type, types are kept, and Parquet returns what it got."""

import datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.datasets.catalog import CONTRACT_COLUMNS
from retrieval.datasets.metadata import (
    join_tables,
    stored_names,
    take_rows,
    typed_column,
    typed_table,
    with_decimal_points,
)
from retrieval.errors import UserError

NOTHING = st.just("")
COLUMNS = {
    "int64": st.integers(-(10**17), 10**17),
    "float64": st.floats(-1e12, 1e12, allow_nan=False).filter(lambda x: x != int(x)),
    "bool": st.booleans(),
    "datetime64[us]": st.dates(datetime.date(1, 1, 1), datetime.date(9999, 12, 31)),
}


@pytest.mark.parametrize("kind", COLUMNS)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_text_of_one_type_has_that_type_and_its_values(kind, data, tmp_path_factory):
    values = data.draw(st.lists(COLUMNS[kind], min_size=1, max_size=20))
    missing = data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values)))
    missing[data.draw(st.integers(0, len(values) - 1))] = False
    texts = ["" if gone else str(v) for v, gone in zip(values, missing, strict=True)]
    column = typed_column(texts)
    nullable = {"int64": "Int64", "bool": "boolean"}
    assert str(column.dtype) == (nullable.get(kind, kind) if any(missing) else kind)
    file = tmp_path_factory.getbasetemp() / "column.parquet"
    column.rename("c").to_frame().to_parquet(file)
    read = pd.read_parquet(file)["c"]
    assert read.dtype == column.dtype
    assert read.isna().tolist() == missing
    for found, value, gone in zip(read, values, missing, strict=True):
        assert gone or found == (pd.Timestamp(value) if "date" in kind else value)


@given(st.lists(st.text(min_size=1).filter(str.strip), min_size=1, max_size=10))
@settings(max_examples=60, deadline=None)
def test_text_that_is_no_other_type_stays_as_it_is_written(texts):
    texts = ["word", *texts]  # which no number, flag or date is
    assert typed_column(texts).tolist() == texts


@pytest.mark.parametrize(
    "texts",
    [
        ["007", "12"],
        ["+49", "30"],
        ["12345678901234567890", "1"],
        ["1234567890123456", "0.5"],
        ["12E3", "7"],
        ["31.12.2024", "01.01.2025"],
        ["2024-13-01"],
        ["2024-01-01", "2024-01-01T10:00:00Z"],
        ["yes", "no"],
        ["-", "."],
        ["1_000"],
        ["inf", "1"],
    ],
)
def test_codes_and_what_may_mean_two_things_stay_text(texts):
    assert typed_column(texts).tolist() == texts


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["12,99", "5", ""], ["12.99", "5", ""]),
        (["1.299,00", "1.300", "-7,5"], ["1299.00", "1300", "-7.5"]),
        (["0,1234", "NA"], ["0.1234", "NA"]),
        (["1,299", "2,500"], ["1,299", "2,500"]),  # thousands, or less than three?
        (["12,99", "12.99"], ["12,99", "12.99"]),
        (["12,99", "sold out"], ["12,99", "sold out"]),
        (["1.299", "5"], ["1.299", "5"]),
        (["38,39,40"], ["38,39,40"]),
    ],
)
def test_decimal_commas_are_read_where_a_comma_separates_nothing(texts, expected):
    table = pd.DataFrame({"price": texts})
    assert with_decimal_points(table, ";")["price"].tolist() == expected
    assert with_decimal_points(table, ",")["price"].tolist() == texts


def test_words_for_no_value_are_missing_in_numbers_and_words_in_text():
    assert typed_column(["1.5", "NA", "n/a", "-"]).isna().tolist() == [False, True, True, True]
    assert typed_column(["NA", "USA"]).tolist() == ["NA", "USA"]
    assert typed_column(["NA", ""]).isna().tolist() == [False, True]


def test_times_with_zones_are_in_utc():
    column = typed_column(["2024-01-01T12:00:00+02:00", "2024-01-01T12:00:00Z"])
    assert [t.hour for t in column] == [10, 12]
    assert str(column.dtype) == "datetime64[us, UTC]"


def test_types_of_a_table_are_kept_and_embeddings_are_no_metadata():
    table = pd.DataFrame(
        {
            "n": pd.array([1, None], dtype="Int64"),
            "code": ["1", "2"],
            "shelf": pd.Categorical(["A", "B"]),
            "day": [datetime.date(2024, 1, 1), None],
            "tags": [["a", "b"], None],
            "vector": [[0.5] * 9, [0.5] * 9],
            "raw": [b"\xff", b""],
            "mixed": [1, "two"],
            "flag": [True, None],
            "whole": pd.Series([1, None], dtype=object),
        }
    )
    found, refused = typed_table(table)
    assert refused == ["vector", "raw"]
    assert {name: str(kind) for name, kind in found.dtypes.items()} == {
        "n": "Int64", "code": "str", "shelf": "category", "day": "datetime64[us]", "tags": "str",
        "mixed": "str", "flag": "boolean", "whole": "Int64",
    }  # fmt: skip
    assert found["tags"].tolist()[0] == '["a", "b"]'
    assert found["mixed"].tolist() == ["1", "two"]


@pytest.mark.parametrize("name", CONTRACT_COLUMNS)
def test_a_name_that_the_run_uses_is_kept_under_another(name):
    assert stored_names(["price", name], "l.csv") == {"price": "price", name: f"meta_{name}"}


def test_two_columns_that_would_have_one_name_are_refused():
    with pytest.raises(UserError, match=r"l.csv: columns 'meta_item' and 'item' are called"):
        stored_names(["meta_item", "item"], "l.csv")


def test_lists_are_joined_by_column_and_types_are_told_by_all_of_them():
    one, other = pd.DataFrame({"n": ["1"], "a": ["x"]}), pd.DataFrame({"n": ["2.5"]})
    joined = join_tables([(one, True), (other, True)])
    assert joined["n"].tolist() == [1, 2.5]
    assert joined["a"].isna().tolist() == [False, True]
    typed = pd.DataFrame({"n": [3], "a": [True]})
    mixed = join_tables([(typed, False), (one, True)])
    assert mixed["n"].tolist() == [3, 1]
    assert mixed["a"].tolist() == ["True", "x"]


def test_a_row_of_minus_one_has_no_values():
    table = pd.DataFrame({"n": [1, 2], "flag": [True, False], "text": ["a", "b"]})
    found = take_rows(table, np.array([1, -1, 0]))
    assert found["n"].tolist() == [2, pd.NA, 1]
    assert found["flag"].isna().tolist() == [False, True, False]
    assert str(take_rows(table, np.array([1, 1]))["n"].dtype) == "int64"


def test_a_mapping_among_texts_is_json_too():
    column = pd.Series([{"x": 1}, "red", None, ["a"]], dtype=object)
    table, refused = typed_table(pd.DataFrame({"about": column}))
    assert table["about"].fillna("").tolist() == ['{"x": 1}', "red", "", '["a"]']
    assert refused == []
