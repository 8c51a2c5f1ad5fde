"""A table beside the photos of a folder: its rows find their images, and what is lost is named."""

import pandas as pd
import pytest

from retrieval.datasets import load_catalog
from retrieval.errors import UserError
from tests.datasets.helpers import write_classes


@pytest.fixture
def folder(tmp_path):
    return write_classes(tmp_path / "photos", dict.fromkeys("abcd", 2))


def prices(catalog) -> dict[str, float]:
    return dict(zip(catalog.items["path"], catalog.items["price"], strict=True))


ROWS = {f"{c}/{n}.jpg": 10 * k + n + 0.5 for k, c in enumerate("abcd") for n in range(2)}


def table(header="file,price", rows=ROWS, **more) -> str:
    return "\n".join([header, *(f"{path},{price}" for path, price in {**rows, **more}.items())])


@pytest.mark.parametrize(
    ("name", "header"),
    [("prices.csv", "file,price"), ("metadata.csv", "file_name,price"), ("x.tsv", "path\tprice")],
)
def test_a_table_in_the_folder_brings_its_columns(folder, name, header):
    (folder / name).write_text(table(header).replace(",", "\t" if name == "x.tsv" else ","))
    catalog = load_catalog("folder", folder)
    assert prices(catalog) == ROWS
    assert str(catalog.items["price"].dtype) == "float64"
    assert any(f"{name}: price of 8 of 8 images" in line for line in catalog.remarks)


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_tables_with_types_keep_them(folder, suffix):
    frame = pd.DataFrame({"file": list(ROWS), "price": list(ROWS.values()), "code": ["007"] * 8})
    if suffix == ".parquet":
        frame.to_parquet(folder / "metadata.parquet")
    else:
        frame.to_json(folder / "metadata.jsonl", orient="records", lines=True)
    catalog = load_catalog("folder", folder)
    assert prices(catalog) == ROWS
    assert catalog.items["code"].tolist() == ["007"] * 8


def test_rows_without_an_image_and_images_without_a_row_are_counted_and_named(folder):
    rows = {path: price for path, price in ROWS.items() if path != "c/1.jpg"}
    (folder / "prices.csv").write_text(table(rows=rows, **{"z/9.jpg": 1, "y.jpg": 2}))
    catalog = load_catalog("folder", folder)
    assert catalog.items.set_index("path")["price"].isna().sum() == 1
    line = next(line for line in catalog.remarks if "prices.csv" in line)
    assert "price of 7 of 8 images; without a row: 1, first c/1.jpg" in line
    assert "2 rows without an image, first row 9: 'z/9.jpg'" in line


@pytest.mark.parametrize("form", ["photos/{}", "./{}", "\\{}"])
def test_paths_in_other_forms_find_their_images(folder, form):
    rows = {form.format(p.replace("/", "\\") if "\\" in form else p).lstrip("\\"): v
            for p, v in ROWS.items()}  # fmt: skip
    (folder / "prices.csv").write_text(table(rows=rows))
    assert prices(load_catalog("folder", folder)) == ROWS


def test_names_alone_find_their_images_unless_two_have_one_name(tmp_path):
    folder = write_classes(tmp_path / "photos", dict.fromkeys("ab", 2))
    for c in "ab":
        for n in range(2):
            (folder / c / f"{n}.jpg").rename(folder / c / f"{c}{n}.jpg")
    (folder / "prices.csv").write_text("image,price\na0.jpg,1\nb1.jpg,2\n")
    found = load_catalog("folder", folder).items.set_index("path")["price"]
    assert found.dropna().to_dict() == {"a/a0.jpg": 1, "b/b1.jpg": 2}
    (folder / "b" / "b0.jpg").rename(folder / "b" / "a0.jpg")
    with pytest.raises(UserError, match=r"row 2: 'a0.jpg' is the name of 2 images, e.g. a/a0.jpg"):
        load_catalog("folder", folder, metadata="prices.csv")
    remarks = load_catalog("folder", folder).remarks  # nobody asked for it
    assert any("a0.jpg" in line and "not read as metadata" in line for line in remarks)


def test_a_table_of_classes_gives_its_row_to_every_image(folder):
    (folder / "prices.csv").write_text("sku;price\na;1.5\nb;2.5\nd;4\nq;5\n")
    found = load_catalog("folder", folder)
    assert found.items.groupby("label_name")["price"].first().dropna().to_dict() == {
        "a": 1.5, "b": 2.5, "d": 4.0
    }  # fmt: skip
    line = next(line for line in found.remarks if "prices.csv" in line)
    assert "of 6 of 8 images, by their class in column 'sku'" in line
    assert "1 row without a class, first row 5: 'q'" in line


def test_metadata_of_splits_lies_in_their_folders(tmp_path):
    root = tmp_path / "photos"
    for split, names in (("train", "ab"), ("test", "cd")):
        write_classes(root / split, dict.fromkeys(names, 2), seed=ord(names[0]))
        rows = {p: v for p, v in ROWS.items() if p[0] in names}
        (root / split / "metadata.csv").write_text(table("file_name,price", rows))
    catalog = load_catalog("folder", root)
    assert {p.split("/", 1)[1]: v for p, v in prices(catalog).items()} == ROWS


def test_options_name_the_table_and_its_columns_or_turn_it_off(folder, tmp_path):
    (tmp_path / "list.csv").write_text(table("Datei,price"))
    catalog = load_catalog("folder", folder, metadata=str(tmp_path / "list.csv"), path="Datei")
    assert prices(catalog) == ROWS
    assert catalog.options["path"] == "Datei"
    (folder / "metadata.csv").write_text(table())
    assert "price" not in load_catalog("folder", folder, metadata="none").items


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("file,price\nx,1\n", {}, "no value of its column 'file' names one of the images"),
        ("file,price\na/0.jpg,1\na/0.jpg,2\n", {}, "row 3: 'a/0.jpg' is in row 2 already"),
        ("file,price\na/0.jpg,1\n", {"path": "fil"}, "no column 'fil'.*did you mean 'file'"),
        ("file,price\na/0.jpg,1,2\n", {}, "row 2: 3 fields, but the header names 2"),
        ("file,price,price\na/0.jpg,1,2\n", {}, "two columns 'price'"),
        ("thing,price\nx,1\n", {}, "no column of paths"),
        ("thing,price\na/0.jpg,1\n", {}, "'thing': rename it, or give --path thing"),
        ("", {}, "holds no rows"),
    ],
)
def test_a_bad_table_that_is_asked_for_is_refused_in_one_line(folder, text, options, words):
    (folder / "metadata.csv").write_text(text)
    with pytest.raises(UserError, match=words) as error:
        load_catalog("folder", folder, **options)
    assert "\n" not in str(error.value)


def test_tables_that_are_no_metadata_are_left_alone_and_two_are_named(folder):
    (folder / "notes.csv").write_text("who,what\nme,x\n")
    assert not any("notes" in line for line in load_catalog("folder", folder).remarks)
    for name in ("one.csv", "two.csv"):
        (folder / name).write_text(table())
    catalog = load_catalog("folder", folder)
    assert "price" not in catalog.items
    assert any("one.csv, two.csv name its images" in line for line in catalog.remarks)


def test_own_names_of_the_run_are_kept_apart(folder):
    (folder / "metadata.csv").write_text(table("file,label"))
    catalog = load_catalog("folder", folder)
    assert sorted(catalog.items["meta_label"]) == sorted(ROWS.values())
    assert sorted(set(catalog.items["label"])) == [0, 1, 2, 3]


def test_a_column_of_paths_of_another_name_is_refused_with_the_fix(folder):
    rows = "".join(f"{path},{path[0]},{price}\n" for path, price in ROWS.items())
    (folder / "prices.csv").write_text(f"flie,sku,price\n{rows}")
    with pytest.raises(
        UserError, match=r"prices.csv: .*'flie': did you mean 'file'\? .*--path flie"
    ):
        load_catalog("folder", folder)
    (folder / "prices.csv").write_text(f"Foto Nr,code,price\n{rows}")
    with pytest.raises(UserError, match=r"'Foto Nr': .*--path 'Foto Nr' \(or --metadata none"):
        load_catalog("folder", folder)
    assert prices(load_catalog("folder", folder, path="Foto Nr")) == ROWS
    assert "price" not in load_catalog("folder", folder, metadata="none").items
    (folder / "good.csv").write_text(table())  # is read, and the other one is named
    catalog = load_catalog("folder", folder)
    assert prices(catalog) == ROWS
    assert any("'Foto Nr'" in line and "not read as metadata" in line for line in catalog.remarks)


def test_a_usual_name_without_images_gives_way_to_the_column_that_names_them(folder):
    rows = "".join(f"{n},{path}\n" for n, path in enumerate(ROWS))
    (folder / "prices.csv").write_text(f"image,flie\n{rows}")
    with pytest.raises(UserError, match="--path flie"):
        load_catalog("folder", folder)


def test_a_picture_per_class_is_no_column_of_paths(folder):
    (folder / "prices.csv").write_text("sku,cover,price\na,a/0.jpg,1.5\nb,b/1.jpg,2.5\n")
    found = load_catalog("folder", folder).items
    assert found.groupby("label_name")["price"].count().to_dict() == {
        "a": 2,
        "b": 2,
        "c": 0,
        "d": 0,
    }


def test_classes_that_repeat_are_not_taken_for_a_table_of_classes(folder):
    (folder / "sales.csv").write_text("sku,price\na,1\nb,2\na,3\n")
    line = next(line for line in load_catalog("folder", folder).remarks if "sales.csv" in line)
    assert "no column of paths" in line
    assert "'a' is in rows 2 and 4 of 'sku'" in line


def test_rows_without_an_image_do_not_change_the_types(folder):
    (folder / "prices.csv").write_text(
        table("file,price,added", {p: f"{v},2024-01-02" for p, v in ROWS.items()})
        + "\na/nothere.jpg,abc,2024-13-45\n"
    )
    items = load_catalog("folder", folder).items
    assert [str(items[name].dtype) for name in ("price", "added")] == ["float64", "datetime64[us]"]


def test_a_value_that_makes_a_column_text_is_named_with_its_row(folder):
    rows = {p: f"{v},2024-01-02" for p, v in ROWS.items()}
    rows |= {"b/0.jpg": "n/a,2024-13-45", "c/1.jpg": "abc,2024-01-03"}
    (folder / "prices.csv").write_text(table("file,price,added", rows))
    remarks = load_catalog("folder", folder).remarks
    assert any("prices.csv: price is text, because of 'abc' in row 7" in r for r in remarks)
    assert any("added is text, because of '2024-13-45' in row 4" in r for r in remarks)


def test_spaces_around_the_names_of_folders_are_no_hindrance(tmp_path):
    folder = write_classes(tmp_path / "photos", {" a": 2, "b ": 2, "c": 2})
    rows = {f"{c}/{n}.jpg": n + 0.5 for c in (" a", "b ", "c") for n in range(2)}
    (folder / "prices.csv").write_text(table(rows=rows))
    assert prices(load_catalog("folder", folder)) == rows
    (folder / "prices.csv").write_text("sku,price\n a,1.5\nb ,2.5\nc,3.5\n")
    found = load_catalog("folder", folder).items
    assert found.groupby("label_name")["price"].first().to_dict() == {
        " a": 1.5,
        "b ": 2.5,
        "c": 3.5,
    }
