"""Only what has the form of an embedding becomes a dimension; what is ambiguous is refused."""

import decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from retrieval.errors import UserError
from retrieval.runs.embedding_files import read_embeddings

X = (np.arange(24, dtype=np.float32) / 8 - 1).reshape(4, 6)


def frame_of(*names):
    return pd.DataFrame(X[:, : len(names)], columns=list(names))


def written(folder, frame, suffix=".parquet"):
    path = folder / f"e{suffix}"
    if suffix == ".parquet":
        frame.to_parquet(path) if isinstance(frame, pd.DataFrame) else pq.write_table(frame, path)
    else:
        frame.to_csv(path, index=False, sep="\t" if suffix == ".tsv" else ",")
    return path


def refused(path, columns=()):
    with pytest.raises(UserError) as caught:
        read_embeddings(path, columns)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".tsv"])
@pytest.mark.parametrize(
    "names",
    [
        [f"d{i}" for i in range(6)],
        [f"emb_{i}" for i in range(6)],
        [f"feature_{i:03}" for i in range(6)],
        [str(i) for i in range(6)],
        [f"x{i}" for i in range(1, 7)],
    ],
)
def test_numbered_columns_are_dimensions_in_the_order_of_their_numbers(tmp_path, suffix, names):
    frame = frame_of(*names)[[*names[3:], *names[:3]]]
    for name in ("target", "y", "class_id", "pid", "Unnamed: 0", "index", "id"):
        frame[name] = np.arange(4)
    frame["class_name"] = list("abcd")
    np.testing.assert_array_equal(read_embeddings(written(tmp_path, frame, suffix)), X)


def test_ten_follows_nine(tmp_path):
    wide = np.random.default_rng(0).standard_normal((3, 12)).astype(np.float32)
    frame = pd.DataFrame(wide, columns=[f"d{i}" for i in range(12)])
    path = written(tmp_path, frame[sorted(frame.columns)])
    np.testing.assert_array_equal(read_embeddings(path), wide)


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.float32()), pa.list_(pa.float64(), 6), pa.large_list(pa.float32())]
)
def test_one_column_of_lists_of_any_name_is_the_embedding(tmp_path, kind):
    columns = {
        "id": pa.array(list("abcd")),
        "whatever": pa.array(X.tolist(), kind),
        "tags": pa.array([["a"], [], ["b"], ["c"]]),
        "target": pa.array(range(4)),
    }
    np.testing.assert_array_equal(read_embeddings(written(tmp_path, pa.table(columns))), X)


def test_lists_written_as_text(tmp_path):
    frame = pd.DataFrame({"id": range(4), "v": [str(row.tolist()) for row in X]})
    np.testing.assert_array_equal(read_embeddings(written(tmp_path, frame, ".csv")), X)
    frame.loc[2, "v"] = "[0.1 ... 0.9]"
    assert "row 2 of column 'v' is no list" in refused(written(tmp_path, frame, ".csv"))


@pytest.mark.parametrize("name", ["target", "y", "class_id", "pid", "Unnamed: 0", "index", "id"])
def test_a_lone_number_is_no_embedding(tmp_path, name):
    message = refused(written(tmp_path, pd.DataFrame({name: [1, 2, 3], "z": [1.0, 2, 3]})))
    assert repr(name) in message
    assert "--columns" in message


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("d0", "d1", "d3"), "number 2 is missing"),
        (("d2", "d3"), "number 1 is missing"),
        (("d0", "d1", "d01"), "repeat a number"),
        (("a0", "a1", "b0", "b1"), "'a0' to 'a1' or 'b0' to 'b1'"),
        (("x", "y", "z"), "no column of lists"),
        (("class_0", "class_1"), "no column of lists"),
        (("Unnamed: 0", "Unnamed: 1"), "no column of lists"),
    ],
)
def test_what_is_ambiguous_is_refused_with_the_way_to_choose(tmp_path, names, words):
    message = refused(written(tmp_path, frame_of(*names)))
    assert words in message


def test_columns_are_chosen_by_name_or_pattern(tmp_path):
    path = written(tmp_path, frame_of("a0", "a1", "b1", "b0", "x", "y"))
    np.testing.assert_array_equal(read_embeddings(path, ["b*"]), X[:, [3, 2]])
    np.testing.assert_array_equal(read_embeddings(path, ["x", "y", "a0"]), X[:, [4, 5, 0]])
    assert "did you mean 'a0'" in refused(path, ["a00"])
    np.save(tmp_path / "e.npy", X)
    assert "has no columns" in refused(tmp_path / "e.npy", ["x"])
    two = pa.table({"image": pa.array(X.tolist()), "text": pa.array((X + 1).tolist())})
    path = written(tmp_path, two)
    assert "'image' or 'text'" in refused(path)
    np.testing.assert_array_equal(read_embeddings(path, ["text"]), X + 1)
    assert "'image'" in refused(path, ["image", "text"])


def test_bad_values_are_named_by_row_or_column(tmp_path):
    def with_value(column, value):
        frame = frame_of("d0", "d1").astype(object if isinstance(value, str) else float)
        frame.loc[2, column] = value
        return frame

    assert "row 2 (of 0 to 3) holds NaN" in refused(written(tmp_path, with_value("d1", np.nan)))
    assert "row 2 (of 0 to 3) holds Inf" in refused(written(tmp_path, with_value("d1", np.inf)))
    text = frame_of("d0", "d1").assign(d2=list("abcd"))
    assert "'d2' is not numeric" in refused(written(tmp_path, text))
    money = frame_of("d0").assign(d1=[decimal.Decimal(1)] * 4)
    assert "'d1' is not numeric" in refused(written(tmp_path, money))
    assert "holds no rows" in refused(written(tmp_path, frame_of("d0", "d1")[:0]))
    assert refused(written(tmp_path, pd.DataFrame(index=range(3))))
    lists = [[1.0, 2.0], [3.0, 4.0], [5.0], None]
    assert "row 3 of column 'v' holds no embedding" in refused(
        written(tmp_path, pa.table({"v": lists}))
    )
    assert "row 2 has 1 dimensions" in refused(written(tmp_path, pa.table({"v": lists[:3]})))
    assert "row 1 (of 0 to 1) holds NaN" in refused(
        written(tmp_path, pa.table({"v": [[1.0, 2.0], [3.0, None]]}))
    )


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_a_class_that_is_numbered_like_a_dimension_is_refused(tmp_path, suffix):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.standard_normal((4, 6)), columns=[str(i) for i in range(6)])
    path = written(tmp_path, frame.assign(**{"6": [0, 0, 1, 1]}), suffix)
    assert "column '6' holds whole numbers" in refused(path)
    assert read_embeddings(path, ["?"]).shape == (4, 7)
    dead = written(tmp_path, frame.assign(**{"6": 0}), suffix)
    assert read_embeddings(dead).shape == (4, 7)
    counts = written(
        tmp_path, pd.DataFrame(np.arange(24).reshape(4, 6)).rename(columns=str), suffix
    )
    assert read_embeddings(counts).shape == (4, 6)


def test_a_table_without_a_header_is_refused(tmp_path):
    np.savetxt(tmp_path / "e.csv", X, delimiter=",")
    assert "not a header but numbers" in refused(tmp_path / "e.csv")


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_two_columns_of_one_name_are_refused(tmp_path, suffix):
    table = pa.Table.from_arrays([pa.array([0.5, 1.5])] * 3, names=["d0", "d0", "d1"])
    path = tmp_path / f"e{suffix}"
    pq.write_table(table, path) if suffix == ".parquet" else pa_csv.write_csv(table, path)
    assert "has two columns 'd0'" in refused(path)


def test_numbers_written_as_text_are_said_to_be_no_numbers(tmp_path):
    assert "'d0' to 'd5' hold no numbers" in refused(
        written(tmp_path, frame_of(*(f"d{i}" for i in range(6))).astype(str))
    )


@pytest.mark.parametrize(("separator", "encoding"), [(";", "utf-8"), ("\t", "utf-16")])
def test_separators_and_byte_order_marks_of_csv_files(tmp_path, separator, encoding):
    frame = frame_of(*(f"d{i}" for i in range(6)))
    frame.to_csv(tmp_path / "e.csv", sep=separator, encoding=encoding, index=False)
    np.testing.assert_array_equal(read_embeddings(tmp_path / "e.csv"), X)
