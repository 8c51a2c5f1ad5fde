import pytest

from retrieval.datasets import load_catalog
from retrieval.errors import UserError
from tests.datasets.helpers import write_classes, write_photo


def test_one_folder_per_class(tmp_path):
    root = write_classes(tmp_path / "mine", {"red shoe": 3, "blue shoe": 2, "hat": 2})
    catalog = load_catalog("folder", root, test_classes="hat")
    items = catalog.items
    assert items["path"].tolist()[:2] == ["blue shoe/0.jpg", "blue shoe/1.jpg"]
    assert dict(zip(items["label_name"], items["label"], strict=True)) == {
        "blue shoe": 0,
        "hat": 1,
        "red shoe": 2,
    }
    assert set(items.loc[items["split"] == "test", "label_name"]) == {"hat"}
    assert set(items["role"]) == {"both"}
    assert catalog.options["test_classes"] == "hat"


def test_images_in_deeper_folders_count_and_hidden_ones_do_not(tmp_path):
    root = write_classes(tmp_path / "mine", {"a": 2, "b": 2})
    write_photo(root / "a/2019/summer/9.PNG")
    write_photo(root / "a/.thumbnails/0.jpg")
    write_photo(root / ".trash/0.jpg")
    (root / "a/notes.txt").write_text("not an image")
    paths = load_catalog("folder", root).items["path"].tolist()
    assert paths == ["a/0.jpg", "a/1.jpg", "a/2019/summer/9.PNG", "b/0.jpg", "b/1.jpg"]


def test_train_and_test_folders_are_the_split(tmp_path):
    write_classes(tmp_path / "mine/train", {"a": 2, "b": 2})
    write_classes(tmp_path / "mine/test", {"c": 1})
    items = load_catalog("folder", tmp_path / "mine").items
    assert items["split"].tolist() == ["train"] * 4 + ["test"]
    assert items["label"].tolist() == [0, 0, 1, 1, 2]
    with pytest.raises(UserError, match="lists"):
        load_catalog("folder", tmp_path / "mine", train_classes="a")


def test_a_class_in_both_train_and_test_is_refused(tmp_path):
    write_classes(tmp_path / "mine/train", {"a": 2, "b": 2})
    write_classes(tmp_path / "mine/test", {"b": 2})
    with pytest.raises(UserError, match=r"train and test"):
        load_catalog("folder", tmp_path / "mine")


def test_a_training_class_of_one_image_is_refused_dropped_or_kept(tmp_path):
    root = write_classes(tmp_path / "mine", {"a": 2, "b": 1, "c": 1})
    with pytest.raises(UserError, match=r"1 training class .*'b' \(b/0"):
        load_catalog("folder", root, test_classes="c")
    dropped = load_catalog("folder", root, test_classes="c", singletons="drop").items
    assert dropped["label_name"].tolist() == ["a", "a", "c"]  # a lone test image may stay
    assert len(load_catalog("folder", root, test_classes="c", singletons="keep")) == 4
    with pytest.raises(UserError, match="'drop'"):
        load_catalog("folder", root, singletons="dropp")


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda root: None, "data set 'folder' is not at .*--data DIR"),
        (lambda root: root.mkdir(), "has no sub-folders: give a folder with one sub-folder per"),
        (lambda root: write_classes(root, {"a": 3}), "1 class found"),
    ],
    ids=["missing", "empty", "one class"],
)
def test_a_folder_that_is_no_data_set_is_refused(tmp_path, prepare, words):
    prepare(tmp_path / "mine")
    with pytest.raises(UserError, match=words):
        load_catalog("folder", tmp_path / "mine")


def test_an_empty_class_is_named(tmp_path):
    root = write_classes(tmp_path / "mine", {"a": 2, "b": 2})
    (root / "c").mkdir()
    with pytest.raises(UserError, match=r"mine/c "):
        load_catalog("folder", root)
    write_photo(root / "c/0.webp")
    with pytest.raises(UserError, match=r"mine/c .*1 file"):
        load_catalog("folder", root)
