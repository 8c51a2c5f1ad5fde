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
        ({}, "give either the option csv=FILE, or both"),
        ({"train_csv": "a.csv"}, "give either the option csv=FILE, or both"),
        ({"csv": "a.csv", "test_csv": "b.csv"}, "give either the option csv=FILE, or both"),
        ({"csv": "nowhere.csv"}, "no CSV file nowhere.csv"),
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


def test_a_lone_training_image_is_refused_or_dropped(images):
    (images / "train.csv").write_text(rows(1) + "2,2/0.jpg\n")
    (images / "test.csv").write_text(rows(30))
    files = {"train_csv": "train.csv", "test_csv": "test.csv"}
    with pytest.raises(UserError, match=r"1 training class .*'2'"):
        load_catalog("csv", images, **files)
    assert len(load_catalog("csv", images, **files, singletons="drop")) == 4
