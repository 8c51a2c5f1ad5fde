import errno
import os
import sys

import pytest

from retrieval.datasets import load_catalog
from retrieval.datasets.splits import part_of
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


def test_a_training_class_of_one_image_of_split_folders_is_kept_and_that_is_said(tmp_path):
    write_classes(tmp_path / "mine/train", {"a": 2, "b": 1})
    write_classes(tmp_path / "mine/test", {"c": 2})
    catalog = load_catalog("folder", tmp_path / "mine")
    assert len(catalog) == 5
    assert any("'b'" in line and "--singletons drop" in line for line in catalog.remarks)


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda root: None, "--data .*: no such folder or file"),
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
    write_photo(root / "c/0.tif")
    with pytest.raises(UserError, match=r"mine/c .*1 file"):
        load_catalog("folder", root)


def splits_and_roles(catalog):
    """Map each class to its split and the roles of its items."""
    groups = catalog.items.groupby("label_name")
    return {name: (set(part["split"]), set(part["role"])) for name, part in groups}


@pytest.mark.parametrize(
    "names",
    [
        ("train", "test"),
        ("Train", "Test"),
        ("TRAINING", "testing"),
        ("training_set", "test-set"),
        ("train2017", "test2017"),
        ("trainset", "images test"),
        ("train", "Query", "gallery"),
        ("1_train", "2_test"),
        ("train", "eval"),
        ("train", "test/query", "test/gallery"),
        ("Train_images", "probe", "gallery set"),
    ],
)
def test_folders_of_splits_are_splits_in_any_case(tmp_path, names):
    root = tmp_path / "mine"
    for name in names:
        classes = "abc" if "train" in name.lower() else "def"
        write_classes(root / name, dict.fromkeys(classes, 2))
    catalog = load_catalog("folder", root)
    roles = {"both"} if len(names) == 2 else {"query", "gallery"}
    assert splits_and_roles(catalog) == {
        **{name: ({"train"}, {"both"}) for name in "abc"},
        **{name: ({"test"}, roles) for name in "def"},
    }
    assert catalog.remarks == ()


@pytest.mark.parametrize("name", ["val", "valid", "Validation"])
def test_a_validation_folder_is_a_split_of_its_own(tmp_path, name):
    root = tmp_path / "mine"
    for split, classes in (("train", "ab"), (name, "cd"), ("test", "ef")):
        write_classes(root / split, dict.fromkeys(classes, 2))
    catalog = load_catalog("folder", root)
    assert catalog.split("validation")["label_name"].unique().tolist() == ["c", "d"]
    assert any("--eval-split validation" in line for line in catalog.remarks)
    write_photo(root / name / "a/0.jpg")
    with pytest.raises(UserError, match="train and validation"):
        load_catalog("folder", root)


def test_query_and_gallery_alone_are_a_test_split(tmp_path):
    for part in ("query", "gallery"):
        write_classes(tmp_path / "mine" / part, {"a": 2, "b": 2})
    catalog = load_catalog("folder", tmp_path / "mine")
    assert splits_and_roles(catalog) == dict.fromkeys("ab", ({"test"}, {"query", "gallery"}))
    assert any("not trained on" in line for line in catalog.remarks)


@pytest.mark.parametrize(
    ("folders", "words"),
    [
        (["train/a", "train/b"], r"no test folder.*--data .*mine/train"),
        (["train/a", "val/b"], "no test folder"),
        (["train/a", "Train/b", "test/c"], "the same split"),
        (["train/a", "test/b", "query/b"], None),
        (["train/a", "query/b"], "no gallery"),
        (["gallery/b"], "no query"),
        (["train/a", "test/b", "cat"], r"test/, train/ would be splits.*cat/ would be classes"),
        (["train/query/a", "train/gallery/a", "test/b"], "splits within a split"),
        (["train/a", "test/query/b", "test/c"], "splits within a split"),
        (["images/train/a", "images/test/b"], r"1 class found, images/.*--data .*mine/images"),
        (["train", "test"], "one sub-folder per class"),
        (["train/a", "test"], r"mine/test: .*one sub-folder per class"),
    ],
)
def test_folders_that_are_no_split_are_refused_in_one_line(tmp_path, folders, words):
    for number, folder in enumerate(folders):
        for image in range(2):
            write_photo(tmp_path / "mine" / folder / f"{image}.jpg", seed=10 * number + image)
    if words is None:
        load_catalog("folder", tmp_path / "mine")
        return
    with pytest.raises(UserError, match=words) as error:
        load_catalog("folder", tmp_path / "mine")
    assert "\n" not in str(error.value)


def test_a_class_may_be_called_like_a_split(tmp_path):
    root = write_classes(tmp_path / "vehicles", {"car": 2, "plane": 2, "train": 2})
    catalog = load_catalog("folder", root)
    assert set(catalog.items["label_name"]) == {"car", "plane", "train"}
    assert any("'train'" in line for line in catalog.remarks)


def test_what_decodes_is_read_and_the_rest_is_counted(tmp_path):
    root = write_classes(tmp_path / "mine", {"a": 2, "b": 2})
    for suffix in ("webp", "bmp", "jfif", "jpe", "tif", "tiff"):
        write_photo(root / f"a/1.{suffix}", format="JPEG" if suffix[0] == "j" else None)
    (root / "a/notes.txt").write_text("text")
    (root / "b/Thumbs.db").write_text("system")
    write_photo(root / "b/._0.jpg")
    write_photo(root / "loose.jpg")
    for junk in ("@eaDir", "__MACOSX", "$RECYCLE.BIN", "a/@eaDir/0.jpg"):
        write_photo(root / junk / "SYNOPHOTO_THUMB.jpg")
    catalog = load_catalog("folder", root)
    assert len(catalog) == 8
    assert set(catalog.items["label_name"]) == {"a", "b"}
    (line,) = catalog.remarks
    for words in (".tif 1", ".tiff 1", ".txt 1", "1 image in no class", "6 hidden or system"):
        assert words in line


def test_classes_that_look_alike_stay_two_and_are_named(tmp_path):
    names = ["Hat", "hat", "caf\u00e9", "cafe\u0301"]
    root = write_classes(tmp_path / "mine", dict.fromkeys(names, 2))
    catalog = load_catalog("folder", root)
    assert catalog.items["label_name"].nunique() == 4
    assert len(catalog.remarks) == 1


def test_splits_inside_of_classes_are_no_splits_which_is_said(tmp_path):
    for name in ("bottle", "cable"):
        write_classes(tmp_path / "mine" / name, {"train": 2, "test": 2})
    catalog = load_catalog("folder", tmp_path / "mine")
    assert set(catalog.items["label_name"]) == {"bottle", "cable"}
    assert any("bottle/test/" in line for line in catalog.remarks)


def test_folders_of_folders_are_classes_which_is_said(tmp_path):
    for name in ("seen", "unseen"):
        write_classes(tmp_path / "mine" / name, {"a": 2, "b": 2})
    catalog = load_catalog("folder", tmp_path / "mine")
    assert set(catalog.items["label_name"]) == {"seen", "unseen"}
    assert any("2 classes" in line and "4 sub-folders" in line for line in catalog.remarks)


@pytest.mark.parametrize("name", ["train station", "test tube", "train 1", "query42", "images"])
def test_names_of_things_are_no_splits(name):
    assert part_of(name) is None


def test_a_root_that_cannot_be_is_refused_in_one_line():
    with pytest.raises(UserError, match="no such folder or file"):
        load_catalog("folder", "x" * 5_000)


def test_class_folders_may_be_links_to_another_disk(tmp_path):
    root = write_classes(tmp_path / "mine", {"a": 2})
    write_classes(tmp_path / "disk", {"b": 2})
    (root / "b").symlink_to(tmp_path / "disk/b")
    assert load_catalog("folder", root).items["path"].tolist()[2:] == ["b/0.jpg", "b/1.jpg"]


@pytest.mark.parametrize(
    ("link", "target"),
    [("a/up", ".."), ("a/up", "."), ("c", "../.."), ("c", "b"), ("a/deep", "../b"), ("c", "c")],
)
def test_links_that_lead_back_are_refused(tmp_path, link, target):
    root = write_classes(tmp_path / "mine", {"a": 2, "b": 2})
    (root / link).symlink_to(target)
    if link == target:  # leads nowhere, so it is no folder
        assert len(load_catalog("folder", root)) == 4
        return
    with pytest.raises(UserError, match=link.rpartition("/")[2]) as error:
        load_catalog("folder", root)
    assert "\n" not in str(error.value)


def test_an_image_that_is_a_link_to_another_one_is_refused(tmp_path):
    root = write_classes(tmp_path / "mine", {"a": 2, "b": 2})
    (root / "b/again.jpg").symlink_to("../a/0.jpg")
    with pytest.raises(UserError, match=r"mine/b/again\.jpg.*twice"):
        load_catalog("folder", root)


def test_an_image_that_is_a_link_out_of_the_folder_is_refused(tmp_path):
    root = write_classes(tmp_path / "mine", {"a": 2, "b": 2})
    write_photo(root / ".store/1.jpg")
    (root / "a/2.jpg").symlink_to("../.store/1.jpg")
    assert len(load_catalog("folder", root)) == 5
    (root / "a/3.jpg").symlink_to(write_photo(tmp_path / "secret.jpg"))
    with pytest.raises(UserError, match=r"a/3\.jpg: .*secret\.jpg"):
        load_catalog("folder", root)


@pytest.mark.parametrize("kind", ["pipe", "broken link", "loop"])
def test_what_is_no_regular_file_is_refused_and_does_not_hang(tmp_path, kind):
    root = write_classes(tmp_path / "mine", {"a": 2, "b": 2})
    path = root / "a/2.jpg"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("2.jpg" if kind == "loop" else "nowhere")
    with pytest.raises(UserError, match=r"a/2\.jpg"):
        load_catalog("folder", root)


@pytest.mark.skipif(sys.platform != "linux", reason="file names must be text elsewhere")
@pytest.mark.parametrize("path", [b"a/\xff.jpg", b"\xff/0.jpg"])
def test_names_that_are_not_utf8_are_refused_in_one_line(tmp_path, path):
    root = write_classes(tmp_path / "mine", {"a": 2, "b": 2})
    write_photo(root / os.fsdecode(path))
    with pytest.raises(UserError, match=r"\\xff") as error:
        load_catalog("folder", root)
    str(error.value).encode()
    assert "\n" not in str(error.value)


def test_a_folder_that_cannot_be_read_is_not_skipped(tmp_path, monkeypatch):
    root = write_classes(tmp_path / "mine", {"a": 2, "b": 2})
    scandir = os.scandir

    def refuse(path):  # not by its permissions: root may read everything
        if str(path).endswith("mine/a"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UserError, match="mine/a"):
        load_catalog("folder", root)
