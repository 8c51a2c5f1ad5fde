import os

import pytest

from retrieval.datasets import load_catalog
from retrieval.errors import UserError
from tests.datasets.helpers import write_classes


@pytest.fixture
def images(tmp_path):
    return write_classes(tmp_path / "images", {"1": 2, "2": 2, "30": 2})


def rows(*labels):
    return "".join(f"{label},{label}/{n}.jpg\n" for label in labels for n in range(2))


def test_the_baselines_two_files_work_unchanged(images, tmp_path):
    (tmp_path / "train.csv").write_text(rows(30, 2))
    (tmp_path / "test.csv").write_text(rows(1))
    catalog = load_catalog(
        "csv",
        train_csv=str(tmp_path / "train.csv"),
        test_csv=str(tmp_path / "test.csv"),
        image_root=str(images),
    )
    items = catalog.items
    assert catalog.root == images
    assert items["path"].tolist()[:2] == ["30/0.jpg", "30/1.jpg"]
    assert items["label"].tolist() == [30, 30, 2, 2, 1, 1]
    assert items["split"].tolist() == ["train"] * 4 + ["test"] * 2


def test_one_file_with_a_header_a_byte_order_mark_and_windows_lines(images):
    text = "\ufeffclass id,relative path\n" + rows(1, 2, 30)
    (images / "all.csv").write_bytes(text.replace("\n", "\r\n").encode())
    items = load_catalog("csv", images, csv="all.csv", test_classes=2).items
    assert set(items.loc[items["split"] == "test", "label"]) == {2}
    assert len(items) == 6


def test_names_as_class_ids_are_numbered_in_order(images):
    (images / "all.csv").write_text("hat,1/0.jpg\nhat,1/1.jpg\nbag,2/0.jpg\nbag,2/1.jpg\n")
    items = load_catalog("csv", images, csv="all.csv").items
    assert dict(zip(items["label_name"], items["label"], strict=True)) == {"bag": 0, "hat": 1}


def test_absolute_paths_below_the_image_root_are_accepted(images):
    (images / "all.csv").write_text(rows(1) + f"2,{images}/2/0.jpg\n2,{images}/2/1.jpg\n")
    assert load_catalog("csv", images, csv="all.csv").items["path"].tolist()[2] == "2/0.jpg"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (rows(1, 2) + "2,2/7.jpg\n2,2/8.jpg\n", r"all\.csv row 5: no file .*2/7\.jpg \(1 more"),
        ("class,path\n\n" + rows(1) + "2,nope.jpg\n", r"all\.csv row 5: no file"),
        (rows(1) + "2\n", r"all\.csv row 3: '2' is not `class id,relative path`"),
        (rows(1) + "2,2/0.jpg,extra\n", r"row 3: '2,2/0\.jpg,extra' is not"),
        (rows(1) + "2,/elsewhere/0.jpg\n", r"row 3: /elsewhere/0\.jpg is not inside"),
        ("5,1/0\n" + rows(1), r"all\.csv row 1: no file .*1/0"),
        ("class,path\n", r"all\.csv: no rows"),
        ("", r"all\.csv: no rows"),
    ],
)
def test_a_bad_row_is_named_by_file_and_number(images, text, words):
    (images / "all.csv").write_text(text)
    with pytest.raises(UserError, match=words) as error:
        load_catalog("csv", images, csv="all.csv")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"csv": "x" * 5_000}, "no list"),
        ({"csv": "a.csv", "image_root": "x" * 5_000}, "no image folder"),
        ({}, "give either --csv FILE, or both"),
        ({"train_csv": "a.csv"}, "give either --csv FILE, or both"),
        ({"csv": "a.csv", "test_csv": "b.csv"}, "give either --csv FILE, or both"),
        ({"csv": "nowhere.csv"}, "no list nowhere.csv"),
        ({"csv": "a.csv", "image_root": "nowhere"}, "no image folder at nowhere"),
        (
            {"csv": "a.csv", "trainfraction": 1},
            "data set csv has no option 'trainfraction'; did you mean",
        ),
    ],
)
def test_bad_options_are_refused(images, options, words):
    with pytest.raises(UserError, match=words):
        load_catalog("csv", images, **options)


def write_split_with_a_lone_image(images, *, form):
    """Write lists in which class 2 has one training image; return the options to load them."""
    if form == "two files":
        (images / "train.csv").write_text(rows(1) + "2,2/0.jpg\n")
        (images / "test.csv").write_text(rows(30))
        return {"train_csv": "train.csv", "test_csv": "test.csv"}
    training = "".join(f"{row},train\n" for row in (rows(1) + "2,2/0.jpg").splitlines())
    test = "".join(f"{row},test\n" for row in rows(30).splitlines())
    (images / "all.csv").write_text("label,path,split\n" + training + test)
    return {"csv": "all.csv"}


@pytest.mark.parametrize("form", ["two files", "a column"])
def test_a_lone_training_image_of_a_named_split_is_kept_and_that_is_said(images, form):
    options = write_split_with_a_lone_image(images, form=form)
    kept = load_catalog("csv", images, **options)
    assert len(kept) == 5
    assert kept.options["singletons"] == "keep"
    (line,) = (r for r in kept.remarks if "'2'" in r)
    assert line.startswith("1 training class has one image")
    assert "repeats that image" in line
    assert "--singletons drop" in line
    assert len(load_catalog("csv", images, **options, singletons="drop")) == 4
    with pytest.raises(UserError, match=r"1 training class .*'2'.*--singletons keep"):
        load_catalog("csv", images, **options, singletons="refuse")


def test_a_lone_training_image_of_a_split_made_here_is_refused(images):
    (images / "all.csv").write_text(rows(1, 30) + "2,2/0.jpg\n")
    with pytest.raises(
        UserError, match=r"1 training class .*'2'.*--singletons drop.*--singletons keep"
    ):
        load_catalog("csv", images, csv="all.csv", test_classes="30")
    assert (
        len(load_catalog("csv", images, csv="all.csv", test_classes="30", singletons="keep")) == 5
    )


def test_lists_without_lone_images_record_the_option_of_earlier_versions(images):
    (images / "train.csv").write_text(rows(1, 2))
    (images / "test.csv").write_text(rows(30))
    catalog = load_catalog("csv", images, train_csv="train.csv", test_csv="test.csv")
    assert catalog.options["singletons"] == "refuse"
    assert catalog.remarks == ()


def test_a_class_that_an_unreadable_image_leaves_alone_is_kept_in_a_named_split(images):
    (images / "train.csv").write_text(rows(1, 2))
    (images / "test.csv").write_text(rows(30))
    (images / "2/1.jpg").write_bytes(b"no image")
    files = {"train_csv": "train.csv", "test_csv": "test.csv"}
    assert len(load_catalog("csv", images, **files, skip_unreadable=True)) == 5


def classes_of(catalog):
    return dict(zip(catalog.items["path"], catalog.items["label_name"], strict=True))


def write_list(images, text, encoding="utf-8"):
    (images / "all.csv").write_bytes(text.encode(encoding))
    return load_catalog("csv", images, csv="all.csv")


@pytest.mark.parametrize("names", [("007", "7", "08", "8"), ("1" * 20, "1" * 19 + "2", "-0", "0")])
def test_class_ids_are_names_kept_as_written(images, names):
    paths = [f"{folder}/{n}.jpg" for folder in (1, 2, 30) for n in (0, 1)]
    paths += [f"more/{n}.jpg" for n in (0, 1)]
    write_classes(images, {"more": 2})
    text = "".join(f"{names[n // 2]},{path}\n" for n, path in enumerate(paths))
    catalog = write_list(images, text)
    assert list(classes_of(catalog).values()) == [names[n // 2] for n in range(8)]
    assert catalog.items["label"].nunique() == 4


def test_rows_of_any_suffix_are_rows(images):
    for n in range(2):
        (images / f"1/{n}.jpg").rename(images / f"1/{n}.webp")
    text = rows(1).replace("jpg", "webp").replace("1,", "first,") + rows(2, 30)
    assert len(write_list(images, text)) == 6
    (images / "1/0.webp").rename(images / "1/0")
    assert len(write_list(images, text.replace("1/0.webp", "1/0"))) == 6


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("header", ["path,label", "Image_Path,ClassID", "filename,class name"])
def test_a_header_names_the_columns(images, header, delimiter):
    text = "".join(f"{i}/{n}.jpg,{name}\n" for i, name in ((1, "hat"), (2, "bag")) for n in (0, 1))
    catalog = write_list(images, f"\n{header}\n\n{text}".replace(",", delimiter))
    assert classes_of(catalog) == {
        "1/0.jpg": "hat", "1/1.jpg": "hat", "2/0.jpg": "bag", "2/1.jpg": "bag"
    }  # fmt: skip


def test_a_column_whose_name_the_run_uses_is_kept_under_another_and_named(images):
    text = "label,path,super_label\n" + rows(1, 2).replace("jpg\n", "jpg,3\n")
    catalog = write_list(images, text)
    assert catalog.items["meta_super_label"].tolist() == [3, 3, 3, 3]
    assert "super_label" not in catalog.items
    assert any("'super_label' as 'meta_super_label'" in line for line in catalog.remarks)


@pytest.mark.parametrize(
    ("header", "values", "words"),
    [
        ("is_train", "10", "'split'"),
        ("Is Test", ["false", "TRUE"], "'split'"),
        ("val", "01", "'split'"),
        ("phase", ["Train", "test"], "'split'"),
        ("is_query", "10", "'role'"),
        ("gallery", ["yes", "no"], "'role'"),
    ],
)
def test_a_split_or_role_that_would_not_be_read_is_refused(images, header, values, words):
    listed = [rows(n + 1).replace("jpg\n", f"jpg,{value}\n") for n, value in enumerate(values)]
    text = f"label,path,{header}\n" + "".join(listed)
    with pytest.raises(UserError, match=words) as error:
        write_list(images, text)
    assert repr(header) in str(error.value)
    same = text.replace(f"jpg,{values[1]}", f"jpg,{values[0]}")  # divides nothing
    assert len(write_list(images, same)) == 4


def test_a_name_with_a_comma_needs_quotation_marks(images):
    text = "path,label\n1/0.jpg,hat, blue\n1/1.jpg,hat, red\n2/0.jpg,bag\n2/1.jpg,bag\n"
    with pytest.raises(UserError, match="row 2: 3 fields"):
        write_list(images, text)


def test_a_header_in_other_words_is_not_taken_for_many_bad_rows(images):
    text = "Datei,Klasse\n" + "".join(f"{i}/{n}.jpg,{i}\n" for i in (1, 2) for n in (0, 1))
    with pytest.raises(UserError, match=r"--label COLUMN; its columns: Datei, Klasse") as error:
        write_list(images, text)
    assert "more row" not in str(error.value)


@pytest.mark.parametrize("names", [("1", "1.0"), ("007", "7"), ("+3", "3.00")])
def test_one_number_in_two_spellings_is_said_to_be_two_classes(images, names):
    catalog = write_list(
        images, rows(1, 2).replace("1,", f"{names[0]},").replace("2,", f"{names[1]},")
    )
    assert catalog.items["label"].nunique() == 2
    assert any("how a number is written" in line for line in catalog.remarks)


def test_an_image_is_not_listed_twice_by_way_of_a_link(images):
    (images / "again").symlink_to("1")
    (images / "2/link.jpg").symlink_to("0.jpg")
    for text in (rows(1, 2) + "2,again/0.jpg\n", rows(1, 2) + "2,2/link.jpg\n"):
        with pytest.raises(UserError, match="read twice"):
            write_list(images, text)


def test_rows_of_path_and_class_are_recognized(images):
    text = "".join(f"{label}/{n}.jpg,kind {label}\n" for label in (1, 2) for n in (0, 1))
    catalog = write_list(images, text)
    assert set(classes_of(catalog).values()) == {"kind 1", "kind 2"}
    assert any("relative path,class id" in line for line in catalog.remarks)


def test_a_column_gives_splits_and_roles(images):
    text = "split,label,path\n"
    parts = {"train": "1", "Query": "2", "GALLERY": "2", "val": "30"}
    for n, (part, label) in enumerate(parts.items()):
        text += f"{part},{label},{label}/{n % 2 if part != 'val' else 0}.jpg\n"
    text += "train,1,1/1.jpg\n"
    catalog = write_list(images, text)
    rows_of = {row.path: (row.split, row.role) for row in catalog.items.itertuples()}
    assert rows_of == {
        "1/0.jpg": ("train", "both"),
        "1/1.jpg": ("train", "both"),
        "2/1.jpg": ("test", "query"),
        "2/0.jpg": ("test", "gallery"),
        "30/0.jpg": ("validation", "both"),
    }
    with pytest.raises(UserError, match="drop the class lists"):
        load_catalog("csv", images, csv="all.csv", test_classes="2")


def test_a_column_of_roles_serves_two_lists(images):
    (images / "train.csv").write_text(rows(1))
    (images / "test.csv").write_text("path,label,role\n2/0.jpg,2,query\n2/1.jpg,2,gallery\n")
    items = load_catalog("csv", images, train_csv="train.csv", test_csv="test.csv").items
    assert items["role"].tolist() == ["both", "both", "query", "gallery"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "utf-16-le with mark"])
def test_the_byte_order_mark_tells_the_encoding(images, encoding):
    text = rows(1, 2).replace("1,", "café,")
    if encoding.endswith("mark"):
        text, encoding = "\ufeff" + text, "utf-16-le"
    assert set(classes_of(write_list(images, text, encoding)).values()) == {"café", "2"}


@pytest.mark.parametrize(
    "spelled", [r"1\0.jpg", "./1/0.jpg", "1//0.jpg", "2/../1/0.jpg", '"1/0.jpg"', " 1/0.jpg "]
)
def test_paths_in_other_spellings_are_found(images, spelled):
    catalog = write_list(images, f"1,{spelled}\n1,1/1.jpg\n" + rows(2))
    assert catalog.items["path"].tolist()[0] == "1/0.jpg"


def test_accents_are_found_in_either_form(images):
    write_classes(images, {"cafe\u0301": 2})
    catalog = write_list(images, rows(1) + "5,caf\u00e9/0.jpg\n5,caf\u00e9/1.jpg\n")
    assert catalog.items["path"].tolist()[2:] == ["cafe\u0301/0.jpg", "cafe\u0301/1.jpg"]


def test_quoted_fields_hold_delimiters(images):
    (images / "1/0.jpg").rename(images / "1/a,b.jpg")
    catalog = write_list(images, '"red, blue","1/a,b.jpg"\n"red, blue", "1/1.jpg"\n' + rows(2))
    assert classes_of(catalog)["1/a,b.jpg"] == "red, blue"


def test_excels_note_of_the_delimiter_and_empty_columns_are_skipped(images):
    text = "sep=;\n" + rows(1, 2).replace(",", ";").replace("\n", ";;\n")
    assert len(write_list(images, text)) == 4


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (rows(1, 2) * 2, r"row 5: repeats .*row 1: 1/0\.jpg \(3 more"),
        (
            rows(1, 2) + "30,1/0.jpg\n",
            r"row 5: 1/0\.jpg .* '30' here and '1' in .*row 1",
        ),
        (rows(1) + r"1,1\0.jpg" + "\n", r"row 3: repeats"),
    ],
)
def test_an_image_that_is_listed_again_is_refused_unless_it_is_kept(images, text, words):
    (images / "all.csv").write_text(text)
    for duplicates in ("refuse",) if "repeats" in words else ("refuse", "drop"):
        with pytest.raises(UserError, match=words):
            load_catalog("csv", images, csv="all.csv", duplicates=duplicates)
    if "2," in text:
        kept = load_catalog("csv", images, csv="all.csv", duplicates="keep")
        assert len(kept) == len(text.splitlines())
        assert kept.options["duplicates"] == "keep"
    with pytest.raises(UserError, match="'keep'"):
        load_catalog("csv", images, csv="all.csv", duplicates="kep")


def test_repetitions_can_be_dropped(images):
    (images / "all.csv").write_text(rows(1, 2) * 2)
    assert len(load_catalog("csv", images, csv="all.csv", duplicates="drop")) == 4


def test_an_image_in_both_lists_is_refused(images):
    (images / "train.csv").write_text(rows(1))
    (images / "test.csv").write_text(rows(2) + "2,1/0.jpg\n")
    with pytest.raises(UserError, match=r"test\.csv row 3: 1/0\.jpg"):
        load_catalog("csv", images, train_csv="train.csv", test_csv="test.csv")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("1,1/0.jpg\ncafé,2/0.jpg\n".encode("cp1252"), r"row 2: not UTF-8 \(byte E9\).*iconv"),
        ("1,1/0.jpg\n".encode("utf-16-le"), r"row 1: .*UTF-16"),
        ("\ufeff1,1/0.jpg\n".encode("utf-16-le")[:-1], r"row 1: damaged UTF-16"),
        (b"1,1/0.jpg\n2,2/\x00.jpg\n", r"row 2: a NUL"),
        (b"1,1/0.jpg\n2," + b"x" * 200_000, r"row 2: "),
        (b"1,1/0.jpg\n2," + b"x" * 5_000 + b"/0.jpg", r"row 2: no file"),
        (b'1,1/0.jpg\n2,"2/0.jpg\n', r"quotation mark"),
        (b'1,1/0.jpg\n2,"2/\n0.jpg"\n', r"row 3: .*several lines.*Parquet or JSON"),
        (b"1,1/0.jpg\n2,../2/0.jpg\n", r"row 2: .*--image-root DIR"),
        (b"PK\x03\x04....", "Excel"),
        (
            b"kategorie,bild\n1,1/0.jpg\n",
            r"name it with --path COLUMN --label COLUMN; its columns: kat",
        ),
        (b"path,kategorie\n1/0.jpg,1\n", r"row 1: .*'path,kategorie' has no column for the class"),
        (b"path,path,label\n1/0.jpg,1/0.jpg,1\n", r"two columns are called 'path'"),
        (b"path,label\n1,1/0.jpg\n", r"row 2: .*swapped"),
        (b"path,label,split\n1/0.jpg,1,tarin\n", r"row 2: split 'tarin': valid: train"),
        (b"path,label,role\n1/0.jpg,1,quary\n", r"row 2: role 'quary'"),
        (b"path,label,split\n1/0.jpg,1\n", r"row 2: split ''"),
        (b"path,label,split\n1/0.jpg,1,train\n1/1.jpg,1,train\n", r"no rows of the split 'test'"),
        (b"1 1/0.jpg\n", r"row 1: '1 1/0\.jpg' is not"),
    ],
)
def test_a_damaged_list_is_refused_in_one_line(images, data, words):
    (images / "all.csv").write_bytes(data)
    with pytest.raises(UserError, match=words) as error:
        load_catalog("csv", images, csv="all.csv")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500


def test_a_pipe_in_a_list_is_no_file(images):
    os.mkfifo(images / "1/9.jpg")
    with pytest.raises(UserError, match=r"row 3: no file"):
        write_list(images, rows(1) + "1,1/9.jpg\n")


def test_options_of_an_older_run_are_still_the_same(images):
    assert "duplicates" not in write_list(images, rows(1, 2)).options


def test_other_columns_are_kept(images):
    lines = ["path,label,camera,split", "1/0.jpg,1,c1,train", "1/1.jpg,1,,train"]
    lines += [f"{label}/{n}.jpg,{label},c{n},test" for label in (2, 30) for n in range(2)]
    (images / "all.csv").write_text("\n".join(lines) + "\n")
    catalog = load_catalog("csv", images, csv="all.csv")
    assert catalog.items["camera"].fillna("-").tolist() == ["c1", "-", "c0", "c1", "c0", "c1"]
    assert catalog.remarks == ()


def test_columns_of_one_list_only_miss_the_values_of_the_other(images):
    header = "path,label,box_x,camera\n"
    (images / "all.csv").write_text(header + "".join(f"1/{n}.jpg,1,3,c\n" for n in range(2)))
    (images / "other.csv").write_text("path,label\n2/0.jpg,2\n2/1.jpg,2\n")
    catalog = load_catalog("csv", images, train_csv="all.csv", test_csv="other.csv")
    assert "box_x" not in catalog.items
    assert catalog.items["camera"].fillna("-").tolist() == ["c", "c", "-", "-"]
    assert catalog.items["meta_box_x"].fillna(0).tolist() == [3, 3, 0, 0]
    assert str(catalog.items["meta_box_x"].dtype) == "Int64"
    (images / "all.csv").write_text("path,label,camera,camera\n1/0.jpg,1,a,b\n")
    with pytest.raises(UserError, match="two columns are called 'camera'"):
        load_catalog("csv", images, csv="all.csv")


def test_nothing_can_be_trained_on_where_every_class_has_one_image(images):
    (images / "all.csv").write_text("1,1/0.jpg\n2,2/0.jpg\n30,30/0.jpg\n")
    with pytest.raises(UserError, match=r"every training class has one image.*--loss none"):
        load_catalog("csv", images, csv="all.csv", test_classes="30")
    assert len(load_catalog("csv", images, csv="all.csv", needs_pairs=False)) == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "bild,artikel,preis\n1/0.jpg,s1,2.5\n",
            "no column of the image or class .*--path COLUMN --label COLUMN; .*artikel, preis",
        ),
        ("bild;artikel\n1/0.jpg;s1\n", "no column of the image or class .*bild, artikel"),
        ("bild,sku\n1/0.jpg,s1\n", "no column for the image: call it 'path', or .*--path COLUMN"),
        (
            "file,artikel\n1/0.jpg,s1\n",
            "column for the class: call it 'label', or .*--label COLUMN",
        ),
    ],
)
def test_columns_of_other_names_are_listed_with_the_options_that_name_them(images, text, words):
    (images / "all.csv").write_text(text)
    with pytest.raises(UserError, match=words):
        load_catalog("csv", images, csv="all.csv")


def test_rows_that_are_left_out_do_not_change_the_types_of_columns(images):
    text = "label,path,price\n1,1/0.jpg,1.5\n1,1/1.jpg,2\n2,2/0.jpg,abc\n30,30/0.jpg,3\n"
    (images / "all.csv").write_text(text)
    catalog = load_catalog("csv", images, csv="all.csv", test_classes="30", singletons="drop")
    assert catalog.items["price"].tolist() == [1.5, 2, 3]


def test_a_value_that_makes_a_column_text_is_named_with_its_row(images):
    text = "label,path,price\n" + "".join(
        f"{c},{c}/{n}.jpg,{'abc' if (c, n) == (2, 1) else 2.5}\n"
        for c in (1, 2, 30)
        for n in (0, 1)
    )
    (images / "all.csv").write_text(text)
    remarks = load_catalog("csv", images, csv="all.csv", test_classes="30").remarks
    assert any("price is text, because of 'abc' in row 5" in line for line in remarks)


def test_a_folder_whose_name_begins_with_a_space_is_found(images):
    (images / "2").rename(images / " 2")
    (images / "all.csv").write_text(rows(1, 30) + "2, 2/0.jpg\n2, 2/1.jpg\n")
    paths = load_catalog("csv", images, csv="all.csv", test_classes="30").items["path"]
    assert {" 2/0.jpg", " 2/1.jpg"} <= set(paths)
