"""Which images a folder or a list names: in which order, and with which classes."""

import pandas as pd
import pytest

from retrieval.datasets.image_lists import read_images
from retrieval.errors import UserError
from tests.datasets.helpers import write_classes


@pytest.fixture
def images(tmp_path):
    return write_classes(tmp_path / "images", {"a": 2, "b": 1})


PATHS = ["a/0.jpg", "a/1.jpg", "b/0.jpg"]


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("label,path\n1,a/0.jpg\n1,a/1.jpg\n2,b/0.jpg\n", ["1", "1", "2"]),
        ("1,a/0.jpg\n1,a/1.jpg\n2,b/0.jpg\n", ["1", "1", "2"]),  # the original baseline's
        ("a/0.jpg,1\na/1.jpg,1\nb/0.jpg,2\n", ["1", "1", "2"]),
        ("path\na/0.jpg\na/1.jpg\nb/0.jpg\n", None),
        ("a/0.jpg\na/1.jpg\n\nb/0.jpg\n", None),
        ("path;label\na/0.jpg;x\na/1.jpg;x\nb/0.jpg;y\n", ["x", "x", "y"]),
    ],
)
def test_lists_have_a_header_or_rows_of_the_baseline_or_paths_only(images, tmp_path, text, labels):
    (tmp_path / "list.txt").write_text(text)
    found = read_images(tmp_path / "list.txt", images)
    assert (found.paths, found.labels, found.roles) == (PATHS, labels, None)


def test_roles_are_kept(images, tmp_path):
    rows = "1,a/0.jpg,query\n1,a/1.jpg,gallery\n2,b/0.jpg,gallery\n"
    (tmp_path / "list.csv").write_text("label,path,split\n" + rows)
    assert read_images(tmp_path / "list.csv", images).roles == ["query", "gallery", "gallery"]


def test_absolute_paths_need_no_root(images, tmp_path):
    rows = [f"1,{images / path}" for path in PATHS]
    (tmp_path / "list.csv").write_text("\n".join(rows))
    found = read_images(tmp_path / "list.csv")
    assert found.paths == [str(images / path) for path in PATHS]
    assert found.files(0, 3) == found.paths


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
@pytest.mark.parametrize("column", ["path", "Datei"])
def test_a_column_of_addresses_does_not_make_the_paths_absolute(images, suffix, column):
    frame = pd.DataFrame({column: PATHS, "page": ["/shoes/1", "/shoes/2", "/shoes/3"]})
    file = images / f"list{suffix}"
    if suffix == ".csv":
        frame.to_csv(file, index=False)
    else:
        frame.to_json(file, orient="records", lines=True)
    named = {} if column == "path" else {"path": column.lower()}
    assert read_images(file, named=named).paths == PATHS
    assert read_images(file, named=named).metadata["page"].tolist() == frame["page"].tolist()


def test_a_missing_file_is_refused_with_the_ways_out_or_kept_to_be_skipped(images, tmp_path):
    (tmp_path / "list.csv").write_text("1,a/0.jpg\n1,a/9.jpg\n")
    with pytest.raises(UserError, match=r"list\.csv row 2: no file .*drop --strict"):
        read_images(tmp_path / "list.csv", images, strict=True)
    found = read_images(tmp_path / "list.csv", images)
    assert found.paths == ["a/0.jpg", "a/9.jpg"]
    with pytest.raises(UserError, match=r"paths begin at the list's folder.*--image-root"):
        read_images(tmp_path / "list.csv")  # no row names a file


def test_the_other_columns_of_a_list_are_kept_in_their_types(images, tmp_path):
    (tmp_path / "list.csv").write_text("path,price,origin\na/0.jpg,9.5,NL\na/1.jpg,,\n")
    found = read_images(tmp_path / "list.csv", images).metadata
    assert found["price"].dtype == "float64"
    assert found.columns.tolist() == ["price", "origin"]
    table = pd.DataFrame({"path": [str(images / p) for p in PATHS], "stock": [3, 0, 7]})
    table.to_parquet(tmp_path / "list.parquet")
    found = read_images(tmp_path / "list.parquet")
    assert found.paths == table["path"].tolist()
    assert found.metadata["stock"].tolist() == [3, 0, 7]


def test_columns_of_any_name_and_prices_with_decimal_commas(images, tmp_path):
    text = "datei;sorte;preis\na/0.jpg;x;12,99\na/1.jpg;y;5,00\n"
    (tmp_path / "list.csv").write_text(text)
    found = read_images(tmp_path / "list.csv", images, named={"path": "datei", "label": "sorte"})
    assert (found.paths, found.labels) == (["a/0.jpg", "a/1.jpg"], ["x", "y"])
    assert found.metadata["preis"].tolist() == [12.99, 5.0]
    with pytest.raises(UserError, match=r"no column 'dateien'.*did you mean 'datei'"):
        read_images(tmp_path / "list.csv", images, named={"path": "dateien"})


def test_a_folder_gives_its_images_in_order_and_its_sub_folders_as_classes(images):
    found = read_images(images)
    assert (found.paths, found.labels) == (PATHS, ["a", "a", "b"])
    link = images.with_name("link")
    link.symlink_to(images)
    assert read_images(link).paths == PATHS
    flat = read_images(images / "a")
    assert (flat.paths, flat.labels) == (["0.jpg", "1.jpg"], None)
    assert any("without classes" in line for line in flat.remarks)


def test_the_folder_of_a_split_is_no_class(tmp_path):
    for split, classes in (("train", "ab"), ("test", "cd")):
        write_classes(tmp_path / "mine" / split, dict.fromkeys(classes, 1))
    assert read_images(tmp_path / "mine").labels == ["c", "d", "a", "b"]


def test_a_class_that_some_rows_lack_is_refused(images, tmp_path):
    (tmp_path / "list.csv").write_text("label,path\n1,a/0.jpg\n,a/1.jpg\n")
    with pytest.raises(UserError, match=r"list\.csv row 3: ',a/1\.jpg' is not"):
        read_images(tmp_path / "list.csv", images)


def test_paths_begin_at_the_folder_of_the_list_as_for_a_training(images):
    (images / "list.csv").write_text("file,price\na/0.jpg,1.5\nb/0.jpg,2\n")
    found = read_images(images / "list.csv")
    assert (found.paths, found.root) == (["a/0.jpg", "b/0.jpg"], images.resolve())


def test_the_table_of_a_folder_is_joined_as_for_a_training(images, tmp_path):
    (images / "prices.csv").write_text("file,price,since\nb/0.jpg,2.5,2024-01-02\na/0.jpg,1.5,\n")
    found = read_images(images)
    assert found.paths == PATHS
    assert found.metadata["price"].fillna(0).tolist() == [1.5, 0, 2.5]
    assert str(found.metadata["since"].dtype) == "datetime64[us]"
    (line,) = found.remarks  # and nothing says that the table was left out
    assert "prices.csv: price, since of 2 of 3 images" in line
    assert read_images(images, metadata="none").metadata is None
    (images / "prices.csv").rename(tmp_path / "other.csv")
    other = str(tmp_path / "other.csv")
    assert read_images(images, metadata=other).metadata["price"].count() == 2
    (tmp_path / "other.csv").write_text("bild,price\na/0.jpg,1.5\n")
    named = {"path": "bild"}
    assert read_images(images, metadata=other, named=named).metadata["price"].count() == 1
    with pytest.raises(UserError, match="give one with --metadata FILE"):
        read_images(images, named=named)
    with pytest.raises(UserError, match="--metadata is for folders"):
        read_images(tmp_path / "other.csv", metadata=other)


def test_a_table_by_path_is_joined_to_photos_without_classes(images):
    (images / "a" / "prices.csv").write_text("file,sku,price\n1.jpg,,1.5\n")
    found = read_images(images / "a")
    assert found.labels is None
    assert found.metadata["price"].fillna(0).tolist() == [0, 1.5]


def test_a_value_that_makes_a_column_of_a_list_text_is_named(images, tmp_path):
    rows = "".join(f"{PATHS[n % 3]},{n}\n" for n in range(6))
    (tmp_path / "list.csv").write_text(f"file,price\n{rows}a/0.jpg,abc\n")
    found = read_images(tmp_path / "list.csv", images)
    assert any("price is text, because of 'abc' in row 8" in line for line in found.remarks)
