"""Arrays, tensors and tables in memory become a run; labels are optional; no TensorFlow."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import retrieval
from retrieval.cli.tables import runs_table
from retrieval.errors import UserError
from retrieval.evaluation import evaluate
from retrieval.evaluation.caveats import WITHOUT_LABELS
from retrieval.report.slices import slice_losses
from retrieval.report.writing import write_report
from retrieval.runs.evaluate import EvaluationOptions, evaluate_run
from retrieval.runs.importing import import_files, read_items
from retrieval.runs.records import metadata_columns
from retrieval.runs.thresholds import write_thresholds

X = np.random.default_rng(0).standard_normal((8, 4)).astype(np.float32)
ITEMS = pd.DataFrame(
    {
        "label": list("aabbccdd"),
        "path": [f"{n}.png" for n in range(8)],
        "price": [9.5, 1, None, 4, 5, 6, 7, 8],
        "stock": pd.array([1, None, 3, 4, 5, 6, 7, 8], dtype="Int64"),
        "shelf": pd.Categorical(list("xyxyxyxy")),
        "since": pd.to_datetime("2024-01-01") + pd.to_timedelta(range(8), unit="D"),
        "sale": [True, False] * 4,
        "code": [f"00{n}" for n in range(8)],
    },
    index=range(100, 108),
)
OWN = ["price", "stock", "shelf", "since", "sale", "code"]


@pytest.fixture
def make(tmp_path):
    """Import to a temporary folder of runs, and open the run."""

    def import_to(*arguments, **options):
        options = {"runs": tmp_path / "runs", "progress": False} | options
        return retrieval.open_run(retrieval.import_run(*arguments, **options))

    return import_to


def refused(function, *arguments, **options):
    with pytest.raises(UserError) as caught:
        function(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class Tensor:
    """What `np.asarray` takes, as tensors of any library."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array if dtype is None else self.array.astype(dtype)


def test_a_table_of_items_keeps_every_column_in_its_type(make, tmp_path):
    for n in range(8):
        Image.new("RGB", (10, 10), (30 * n, 0, 0)).save(tmp_path / f"{n}.png")
    run = make(X, ITEMS, images=tmp_path, dataset="shop", name="clip")
    assert (run.dataset, run.name, run.settings) == ("shop", "clip", None)
    assert metadata_columns(run.items) == OWN
    for name in ("price", "stock", "shelf", "sale", "code"):
        pd.testing.assert_series_equal(run.items[name], ITEMS[name].reset_index(drop=True))
    assert run.items["since"].tolist() == ITEMS["since"].tolist()
    assert run.thumbnail(0)[:4] == b"RIFF"
    expected = evaluate(X, run.items["label"].to_numpy())
    assert run.result().metric("recall@1").value == expected.metrics["recall@1"]
    again = evaluate_run(run.path, progress=False)
    pd.testing.assert_frame_equal(again.items, run.items)


@pytest.mark.parametrize(
    "embeddings",
    [
        X.astype(np.float64),
        X.tolist(),
        Tensor(X),
        np.array([*X, None], dtype=object)[:-1],
        pd.DataFrame(X, columns=[f"emb_{n}" for n in range(4)]),
        pd.DataFrame({"embedding": list(X)}),
    ],
)
def test_any_form_of_the_embeddings_is_read(make, embeddings):
    np.testing.assert_array_equal(make(embeddings, ITEMS).embeddings, X)


def test_other_columns_of_a_table_of_embeddings_are_the_items(make):
    both = pd.concat([ITEMS.reset_index(drop=True), pd.DataFrame(X).add_prefix("d")], axis=1)
    run = make(both)
    np.testing.assert_array_equal(run.embeddings, X)
    assert metadata_columns(run.items) == OWN
    assert run.items["label_name"].tolist() == list("aabbccdd")


def test_images_may_be_a_list_of_paths(make, tmp_path):
    paths = [tmp_path / f"{n}.png" for n in range(8)]
    run = make(X, ITEMS.drop(columns="path"), images=paths)
    assert run.items["path"].tolist() == [path.name for path in paths]
    assert run.dataset_config.root == tmp_path.resolve()


@pytest.mark.parametrize(
    ("embeddings", "items", "options", "words"),
    [
        (X[0], ITEMS, {}, "embeddings: has shape (4,)"),
        (X[None], ITEMS, {}, "embeddings: has shape (1, 8, 4)"),
        (X[:7], ITEMS, {}, "embeddings have 7 rows, items have 8: row 7 has no partner"),
        (np.where(np.arange(8)[:, None] == 3, np.nan, X), ITEMS, {}, "row 3 (of 0 to 7) holds NaN"),
        ([[1, 2], [3]], None, {}, "row 1 has 1 dimensions, row 0 has 2"),
        (["a", "b"], None, {}, "embeddings: holds"),
        (X, {"label": ["a"]}, {}, "embeddings have 8 rows, items have 1"),
        (X, {"a": [1], "b": [1, 2]}, {}, "items: give a DataFrame"),
        (X, ITEMS, {"images": ["a"]}, "images have 1: row 1 has no partner"),
        (X, ITEMS.drop(columns="path"), {"images": [1] * 8}, "images: row 0 is no path, but int"),
        (X, ITEMS, {"images": ["a.jpg"] * 8}, "a column 'path' too: give one"),
        (X, ITEMS, {"images": "/no/where"}, "images: no folder /no/where"),
        (X, ITEMS, {"name": "../x"}, "run name '../x'"),
        (X, ITEMS, {"dataset": ".x"}, "data set '.x'"),
        (X, ITEMS, {"distance": "cosin"}, "did you mean 'cosine'"),
        (X, ITEMS, {"label": "lable"}, "items: no column 'lable'"),
        (X, ITEMS.rename(columns={"label": "class"}), {}, "no column 'label'"),
        (X, ITEMS.assign(label=[None, *"abbccdd"]), {}, "items: row 0 has no label"),
        (X, pd.DataFrame([[1, 2]] * 8, columns=["a", "a"]), {}, "two columns are called 'a'"),
    ],
)
def test_bad_input_is_refused_in_one_line_before_anything_is_written(
    make, tmp_path, embeddings, items, options, words
):
    assert words in refused(make, embeddings, items, **options)
    assert not (tmp_path / "runs").exists()


def test_a_run_is_not_replaced_unless_asked(make):
    make(X)
    assert "exists; choose another name or pass overwrite=True" in refused(make, X)
    make(X, overwrite=True)


def test_the_class_may_be_in_any_column(make):
    run = make(X, ITEMS.rename(columns={"label": "sku"}), label="sku")
    assert run.items["label_name"].tolist() == list("aabbccdd")
    assert run.has_labels


def test_without_labels_a_run_has_neighbors_and_says_which_figures_it_lacks(make, tmp_path):
    run = make(X, ITEMS.drop(columns="label"), name="bare")
    assert not run.has_labels
    assert not run.knows_relevant()
    assert not run.result().metrics
    assert run.caveats() == [WITHOUT_LABELS]
    assert run.items["label_name"].tolist() == [f"{n}.png" for n in range(8)]
    assert len(run.projection) == 8
    labeled = make(X, ITEMS, name="labeled")
    np.testing.assert_array_equal(run.neighbors().ids, labeled.neighbors().ids)
    again = evaluate_run(run.path, progress=False)
    assert (again.has_labels, again.caveats()) == (False, [WITHOUT_LABELS])
    assert len(runs_table([run.path])) == 1
    write_report([run, labeled], tmp_path / "out", ["recall@1"])
    for suffix in ("md", "csv", "tex"):
        assert WITHOUT_LABELS in (tmp_path / "out" / f"report.{suffix}").read_text()
    assert "the items have no labels" in refused(write_thresholds, run.path)
    assert "the items have no labels" in refused(slice_losses, {"bare": [run]}, "price")


def test_without_items_there_are_numbers(make):
    run = make(X)
    assert run.items["label_name"].tolist() == [f"item {n}" for n in range(8)]
    assert not run.has_labels


def test_unique_labels_are_labels(make):
    run = make(X, ITEMS.assign(label=range(8)))
    assert run.has_labels
    assert "recall@1" not in run.result().metrics


def test_items_are_left_out_by_their_own_columns(make):
    options = EvaluationOptions(exclude_same=("shelf",), kmeans="none")
    assert make(X, ITEMS, options=options).primary == "leave_one_out.same-shelf"


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
def test_files_of_items_keep_every_column_too(tmp_path, suffix):
    file, frame = tmp_path / f"items{suffix}", ITEMS.reset_index(drop=True)
    frame["item"], frame["emb"] = 5, 0.25
    if suffix == ".csv":
        frame.to_csv(file, index=False)
    elif suffix == ".parquet":
        frame.to_parquet(file)
    else:
        frame.to_json(file, orient="records", lines=True, date_format="iso")
    items = read_items(file)
    assert items["meta_item"].tolist() == [5] * 8
    assert items["emb"].tolist() == [0.25] * 8
    assert str(items["price"].dtype) == "float64"
    assert str(items["stock"].dtype) in ("Int64", "float64")  # JSON has one type of numbers
    assert items["sale"].tolist() == [True, False] * 4
    assert items["code"].tolist()[0] == "000"


def test_columns_of_an_import_are_named_or_there_are_no_classes(tmp_path):
    file = tmp_path / "items.csv"
    file.write_text("sku,file,price\na,1.jpg,2\nb,2.jpg,3\n")
    assert "--label sku" in refused(read_items, file)
    items = read_items(file, named={"label": "sku", "path": "file"})
    assert items["label"].tolist() == ["a", "b"]
    assert "did you mean 'sku'" in refused(read_items, file, named={"label": "skuu"})
    items = read_items(file, named={"label": "none"})
    assert not items["has_label"].any()
    assert items["sku"].tolist() == ["a", "b"]
    file.write_text("path,price\n1.jpg,2\n2.jpg,3\n")
    assert not read_items(file)["has_label"].any()


@pytest.mark.parametrize("suffix", [".npy", ".csv"])
def test_a_file_of_embeddings_alone_has_items_without_classes(tmp_path, suffix):
    file = tmp_path / f"x{suffix}"
    if suffix == ".npy":
        np.save(file, X)
    else:
        pd.DataFrame(X).add_prefix("d").to_csv(file, index=False)
    run = retrieval.open_run(
        import_files(tmp_path / "mine" / "alone", [(file, None)], progress=False)
    )
    assert not run.has_labels
    assert run.items["label_name"].tolist() == [f"item {row}" for row in range(len(X))]
    np.testing.assert_allclose(run.embeddings, X, rtol=1e-6)


def test_other_columns_of_a_file_of_embeddings_are_its_items(tmp_path):
    both = pd.concat([ITEMS.reset_index(drop=True), pd.DataFrame(X).add_prefix("d")], axis=1)
    both.to_parquet(tmp_path / "x.parquet")
    sides = [(tmp_path / "x.parquet", None)]
    run = retrieval.open_run(import_files(tmp_path / "mine" / "both", sides, progress=False))
    assert metadata_columns(run.items) == OWN


def test_messages_name_what_python_takes(make):
    with pytest.raises(UserError) as error:
        make(X, ITEMS.rename(columns={"label": "sku"}))
    assert "label='sku'" in str(error.value)
    assert "--" not in str(error.value)
    make(X, ITEMS)
    with pytest.raises(UserError, match="pass overwrite=True"):
        make(X, ITEMS)
    frame = pd.DataFrame(X).add_prefix("a").join(pd.DataFrame(X).add_prefix("b"))
    with pytest.raises(UserError, match=r"an array$") as error:
        make(frame, ITEMS, name="two")
    assert "--" not in str(error.value)


def test_one_file_of_embeddings_and_items_keeps_the_numbers_that_are_no_dimensions(tmp_path):
    both = ITEMS.reset_index(drop=True).assign(target=range(8), embedding=list(X))
    file = tmp_path / "all.parquet"
    both.to_parquet(file)
    run = retrieval.open_run(
        import_files(tmp_path / "r" / "d" / "n", [(file, file)], progress=False)
    )
    assert metadata_columns(run.items) == [*OWN, "target"]
    wide = pd.concat([ITEMS.reset_index(drop=True), pd.DataFrame(X).add_prefix("d")], axis=1)
    wide.to_parquet(file)
    run = retrieval.open_run(
        import_files(tmp_path / "r" / "d" / "m", [(file, file)], progress=False)
    )
    assert metadata_columns(run.items) == OWN


def test_two_sides_have_labels_or_both_have_none(tmp_path):
    np.save(tmp_path / "x.npy", X)
    for side in "qg":
        rows = "".join(f"{side}{n},{n}.5\n" for n in range(8))
        (tmp_path / f"{side}.csv").write_text("id,price\n" + rows)
    sides = [(tmp_path / "x.npy", tmp_path / f"{side}.csv") for side in "qg"]
    run = retrieval.open_run(import_files(tmp_path / "r" / "d" / "n", sides, progress=False))
    assert run.result().protocol.n_without_positive == 8
    assert run.items["price"].tolist() == [n + 0.5 for n in range(8)] * 2
    assert run.items["id"].tolist()[::8] == ["q0", "g0"]
    labeled = (tmp_path / "q.csv").read_text().replace("price", "label")
    (tmp_path / "q.csv").write_text(labeled)
    message = refused(import_files, tmp_path / "r" / "d" / "m", sides, progress=False)
    assert "g.csv: has no labels, but the other side has" in message


def test_an_import_never_loads_tensorflow():
    code = (
        "import sys, numpy as np, retrieval; f = retrieval.import_run; "
        "sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
