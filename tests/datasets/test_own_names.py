"""Own data have names of their own: a folder or a list, side by side with built-in data sets."""

import pandas as pd
import pyarrow.parquet as pq
import pytest

from retrieval.datasets import check_dataset, dataset_entry, dataset_options, load_catalog
from retrieval.errors import UserError
from retrieval.runs.importing import read_items
from tests.datasets.helpers import write_classes


@pytest.fixture
def folder(tmp_path):
    return write_classes(tmp_path / "photos", dict.fromkeys("abcd", 2))


@pytest.fixture
def frame():
    paths = [f"{c}/{n}.jpg" for c in "abcd" for n in range(2)]
    return pd.DataFrame(
        {"file": paths, "sku": [p[0] for p in paths], "price": [0.5 + n for n in range(8)]}
    )


def write(frame, path):
    writers = {".csv": frame.to_csv, ".tsv": frame.to_csv, ".parquet": frame.to_parquet}
    if path.suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    elif path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        writers[path.suffix](path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return path


def test_a_folder_under_a_name(folder):
    catalog = load_catalog("shoes", folder)
    assert (catalog.name, catalog.kind, len(catalog)) == ("shoes", "folder", 8)
    assert catalog.remarks[0] == (
        f"shoes is your own data set, read as a folder of classes: {folder}"
    )


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".jsonl"])
def test_a_list_of_any_format_under_a_name(folder, frame, suffix):
    path = write(frame, folder / f"list{suffix}")
    catalog = load_catalog("shoes", path)
    assert (catalog.name, catalog.kind) == ("shoes", "csv")
    assert catalog.items["label_name"].tolist() == frame["sku"].tolist()
    assert catalog.items["price"].tolist() == frame["price"].tolist()
    assert str(catalog.items["price"].dtype) == "float64"


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
def test_columns_are_named_and_a_typo_is_answered(folder, frame, suffix):
    named = frame.rename(columns={"file": "Datei", "sku": "Art"}).assign(label=7)
    path = write(named, folder / f"list{suffix}")
    catalog = load_catalog("shoes", path, label="Art", path="datei")
    assert catalog.items["label_name"].tolist() == frame["sku"].tolist()
    assert catalog.items["meta_label"].tolist() == [7] * 8
    assert catalog.options["label"] == "Art"
    with pytest.raises(UserError, match=r"no column 'Artt'.*did you mean 'Art'"):
        load_catalog("shoes", path, label="Artt", path="Datei")
    with pytest.raises(UserError, match="cannot both be in 'Art'"):
        load_catalog("shoes", path, label="Art", path="Art")


def test_two_columns_of_the_name_that_is_asked_for_are_refused(folder, frame):
    frame.insert(0, "SKU", "x")
    path = write(frame.rename(columns={"SKU": "sku"}), folder / "list.csv")
    with pytest.raises(UserError, match=r"list\.csv row 1: two columns are called 'sku'"):
        load_catalog("shoes", path, label="sku")


def test_lists_by_options_are_a_list_too(folder, frame):
    write(frame, folder / "list.csv")
    catalog = load_catalog("shoes", folder, csv="list.csv")
    assert (catalog.name, catalog.kind) == ("shoes", "csv")
    with pytest.raises(UserError, match=r"drop the list list\.csv"):
        load_catalog("shoes", folder / "list.csv", csv="list.csv")


def test_types_of_parquet_are_kept(folder, frame):
    frame["n"] = pd.array([1, None] * 4, dtype="Int64")
    frame["shelf"] = pd.Categorical(list("xyxyxyxy"))
    frame["code"] = ["01", "02"] * 4
    frame["day"] = pd.to_datetime("2024-01-01") + pd.to_timedelta(range(8), unit="D")
    items = load_catalog("shoes", write(frame, folder / "list.parquet")).items
    for name in ("n", "shelf", "code"):
        assert items[name].dtype == frame[name].dtype
        pd.testing.assert_series_equal(items[name], frame[name])
    assert items["day"].tolist() == frame["day"].tolist()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", r"list.jsonl row 2: not JSON"),
        ("[1]", r"list.jsonl row 2: not an object"),
        ('{"file": "no.jpg", "sku": 1}', "row 2: no file"),
    ],
)
def test_bad_json_lines_are_refused_with_their_row(folder, line, words):
    path = folder / "list.jsonl"
    path.write_text('{"file": "a/0.jpg", "sku": "a"}\n' + line + "\n")
    with pytest.raises(UserError, match=words) as error:
        load_catalog("shoes", path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("end", ["\u2028", "\u2029", "\x85"])
def test_a_text_of_json_may_hold_what_other_programs_take_for_the_end_of_a_line(folder, end):
    rows = [f'{{"file": "{c}/{n}.jpg", "sku": "{c}", "about": "{n}{end}new"}}'
            for c in "abcd" for n in range(2)]  # fmt: skip
    (folder / "list.jsonl").write_text("\r\n".join(rows), encoding="utf-8")
    items = load_catalog("shoes", folder / "list.jsonl").items
    assert items["about"].tolist() == [f"0{end}new", f"1{end}new"] * 4


def test_half_of_an_emoji_is_refused_with_its_row_and_a_whole_one_is_kept(folder):
    rows = [f'{{"file": "{c}/{n}.jpg", "sku": "{c}", "about": "\\ud83d\\udc5f"}}'
            for c in "abcd" for n in range(2)]  # fmt: skip
    path = folder / "list.jsonl"
    path.write_text("\n".join(rows))
    assert load_catalog("shoes", path).items["about"].tolist() == ["\U0001f45f"] * 8
    path.write_text("\n".join(rows).replace("\\udc5f", ""))
    with pytest.raises(UserError, match=r"list\.jsonl row 1: half of a character"):
        load_catalog("shoes", path)


def test_the_tabs_of_a_tsv_file_separate_also_beside_commas(folder, frame):
    priced = frame.rename(columns={"price": "price, EUR"})
    items = load_catalog("shoes", write(priced, folder / "list.tsv")).items
    assert items["price, EUR"].tolist() == frame["price"].tolist()
    frame.to_csv(folder / "list.tsv", index=False)  # called so, and yet no tabs in it
    assert len(load_catalog("shoes", folder / "list.tsv")) == 8


def test_the_numbers_of_rows_that_pandas_adds_to_parquet_are_no_column(folder, frame):
    path = write(frame.sample(frac=1, random_state=0), folder / "list.parquet")
    assert "__index_level_0__" in pq.ParquetFile(path).schema_arrow.names
    items = load_catalog("shoes", path).items
    assert not [name for name in items if name.startswith("__")]
    assert "__index_level_0__" not in read_items(path, named={"label": "sku"})
    frame.set_index("price").to_parquet(path)  # an index with a name is one
    assert "price" in load_catalog("shoes", path).items


def test_a_damaged_parquet_file_is_refused(folder):
    (folder / "list.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(UserError, match=r"list\.parquet: damaged, or not a Parquet file"):
        load_catalog("shoes", folder / "list.parquet")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("../x", "without slashes"),
        ("a/b", "without slashes"),
        (".x", "leading dot"),
        ("a\nb", "without control characters"),
        ("x" * 300, "bytes long"),
        ("Grocery", "'grocery' is a built-in data set"),
        ("CSV", "'csv' is a built-in data set"),
        ("grocary", "unknown data set 'grocary': did you mean 'grocery'"),
    ],
)
def test_names_that_cannot_be_are_refused(folder, name, words):
    with pytest.raises(UserError, match=words) as error:
        load_catalog(name, folder)
    assert "\n" not in str(error.value)


def test_a_list_for_a_built_in_data_set_is_refused(folder, frame):
    path = write(frame, folder / "list.csv")
    with pytest.raises(UserError, match=r"'cub200' is a built-in data set, and .* is a file"):
        load_catalog("cub200", path)
    with pytest.raises(UserError, match="'folder' takes a folder"):
        load_catalog("folder", path)
    assert len(load_catalog("csv", path)) == 8


def test_a_name_without_data_is_unknown(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"unknown data set 'groceri': did you mean 'grocery'"):
        check_dataset("groceri")
    write_classes(tmp_path / "data" / "mine", dict.fromkeys("ab", 2))
    monkeypatch.chdir(tmp_path)
    assert len(load_catalog("mine")) == 4  # data/mine


def test_own_data_have_the_options_of_folders_and_lists():
    assert {"metadata", "csv", "label", "path", "test_fraction"} <= set(dataset_options("shoes"))
    assert dataset_entry("shoes").ks == dataset_entry("folder").ks


def test_row_numbers_without_a_name_are_no_column_and_other_values_are(folder, frame):
    frame.to_csv(folder / "list.csv")  # with the index
    assert list(load_catalog("shoes", folder / "list.csv").items)[5:] == ["price"]
    frame.set_axis([9, 4, 2, 7, 1, 0, 3, 5]).to_csv(folder / "list.csv")
    assert load_catalog("shoes", folder / "list.csv").items["column_1"].tolist()[:2] == [9, 4]


def test_a_short_word_that_is_like_a_built_in_name_is_ones_own(tmp_path):
    root = write_classes(tmp_path / "photos", {"a": 2, "b": 2})
    assert load_catalog("shop", root).name == "shop"  # and no misspelled sop
