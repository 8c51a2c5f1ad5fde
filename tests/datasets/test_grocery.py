import gzip
import json
import zipfile
import zlib
from dataclasses import replace

import pytest

from retrieval.datasets import fetch_dataset, grocery, load_catalog
from retrieval.datasets.archives import read_manifest
from retrieval.errors import UserError
from tests.datasets.helpers import below, write_photo

HEADER = "Class Name (str),Class ID (int),Coarse Class Name (str),Coarse Class ID (int),Icon,Text\n"


def write_archive(path, top="GroceryStoreDataset-master", change=None):
    """Write a zip of the public archive's layout: 4 fine classes, 2 coarse, 3 lists."""
    folder = path.parent / "content"
    fine = ["Royal-Gala", "Oat-Milk", "Pink-Lady", "Soy-Milk"]
    lists = {"train": [0, 0, 1, 1, 2, 2, 3, 3], "val": [1], "test": [0, 1, 2, 3]}
    text = "".join(
        f"{n},{i},{('Apple', 'Milk')[i % 2]},{i % 2},/i,/d\n" for i, n in enumerate(fine)
    )
    files = {
        "LICENSE": b"MIT",
        "README.md": b"readme",
        "dataset/classes.csv": (HEADER + text).encode(),
    }
    for name, labels in lists.items():
        rows = []
        for number, label in enumerate(labels):
            image = f"{name}/Fruit/{fine[label]}/{number:03d}.jpg"
            photo = write_photo(folder / image, seed=len(files))
            files[f"dataset/{image}"] = photo.read_bytes()
            rows.append(f"{image}, {label}, {label % 2}\n")
        files[f"dataset/{name}.txt"] = "".join(rows).encode()
    listed = {n: [len(c), zlib.crc32(c)] for n, c in files.items() if n != "README.md"}
    files |= change or {}
    with zipfile.ZipFile(path, "w") as archive:
        archive.mkdir(f"{top}/dataset")
        for name, content in files.items():
            if content is not None:
                archive.writestr(f"{top}/{name}", content)
    return listed


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Hold the loader to a small archive of the same layout."""
    archive = tmp_path / "archive.zip"
    listed = write_archive(archive)
    manifest = tmp_path / "manifest.json.gz"
    manifest.write_bytes(gzip.compress(json.dumps(listed).encode()))
    monkeypatch.setattr(grocery, "MANIFEST", manifest)
    monkeypatch.setattr(grocery, "COUNTS", {"train": 8, "val": 1, "test": 4})
    monkeypatch.setattr(grocery, "N_CLASSES", 4)
    return archive


def test_an_archive_on_disk_is_unpacked_and_loads(small, tmp_path):
    assert fetch_dataset("grocery", tmp_path / "g", small) == tmp_path / "g"
    items = load_catalog("grocery", tmp_path / "g").items
    assert len(items) == 13
    assert small.exists()
    assert "README.md" not in below(tmp_path / "g")


def test_even_ids_train_and_odd_ids_test_across_stores(small, tmp_path):
    catalog = load_catalog("grocery", fetch_dataset("grocery", tmp_path / "g", small))
    items = catalog.items
    assert set(items.loc[items["split"] == "train", "label"]) == {0, 2}
    assert set(items.loc[items["split"] == "test", "label"]) == {1, 3}
    test = items[items["split"] == "test"]
    own_list = test["path"].str.split("/").str[1]
    assert (
        test["role"] == own_list.map({"train": "gallery", "val": "gallery", "test": "query"})
    ).all()
    assert set(items.loc[items["split"] == "train", "role"]) == {"both"}
    assert catalog.query_gallery_title == "cross-store"
    assert set(items["super_name"]) == {"Apple", "Milk"}
    assert items["label_name"].iloc[0] == "Royal Gala"


def test_the_committed_manifest_has_the_published_content():
    manifest = read_manifest(grocery.MANIFEST)
    photos = [n for n in manifest if n.endswith(".jpg") and not n.startswith("dataset/iconic")]
    assert len(photos) == 5421 == sum(grocery.COUNTS.values())
    for name in grocery.COUNTS:
        listed = [n for n in photos if n.startswith(f"dataset/{name}/")]
        assert len(listed) == grocery.COUNTS[name]
    assert manifest["dataset/classes.csv"] == (17234, 829032932)


def test_absent_photos_say_which_command_gets_them(tmp_path):
    with pytest.raises(UserError) as error:
        load_catalog("grocery", tmp_path / "g")
    assert str(error.value).endswith("run `retrieval fetch grocery`")
    (tmp_path / "g").mkdir()
    with pytest.raises(UserError, match="`retrieval fetch grocery`"):
        load_catalog("grocery", tmp_path / "g")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dataset/val.txt": b"other"}, r"1 different \(first: dataset/val\.txt\)"),
        ({"dataset/new.jpg": b""}, r"1 unexpected \(first: dataset/new\.jpg\)"),
        ({"dataset/classes.csv": None}, r"1 missing \(first: dataset/classes\.csv\)"),
        ({"../../outside.txt": b"x"}, "points outside its folder"),
    ],
)
def test_other_content_is_refused_and_nothing_is_written(small, tmp_path, change, words):
    write_archive(small, change=change)
    before = below(tmp_path)
    with pytest.raises(UserError, match=words) as error:
        fetch_dataset("grocery", tmp_path / "g", small)
    assert "\n" not in str(error.value)
    assert below(tmp_path) == before


def test_a_changed_readme_does_not_matter(small, tmp_path):
    write_archive(small, change={"README.md": b"another", "sample_images/a.jpg": b"x"})
    assert len(load_catalog("grocery", fetch_dataset("grocery", tmp_path / "g", small))) == 13


def test_a_second_fetch_leaves_what_is_there(small, tmp_path):
    root = fetch_dataset("grocery", tmp_path / "g", small)
    (root / "notes.txt").write_text("mine")
    fetch_dataset("grocery", root, small)
    assert (root / "notes.txt").read_text() == "mine"


def test_download_survives_drops_and_tidies_up(small, tmp_path, monkeypatch, server):
    server.files["master.zip"] = small.read_bytes()
    server.resumes, server.script = False, ["drop", "ok"]
    public = replace(grocery.ARCHIVE, url=server.url("master.zip"))
    monkeypatch.setattr(grocery, "ARCHIVE", public)
    monkeypatch.setattr("retrieval.datasets.download.time.sleep", lambda _: None)
    fetch_dataset("grocery", tmp_path / "data" / "grocery")
    assert len(server.requests) == 2
    assert sorted(p.name for p in (tmp_path / "data").iterdir()) == ["grocery"]


def test_a_download_with_other_content_is_removed_so_that_the_next_is_clean(
    small, tmp_path, monkeypatch, server
):
    whole = small.read_bytes()
    write_archive(small, change={"dataset/val.txt": b"other"})
    server.files["master.zip"] = small.read_bytes()
    public = replace(grocery.ARCHIVE, url=server.url("master.zip"))
    monkeypatch.setattr(grocery, "ARCHIVE", public)
    with pytest.raises(UserError, match=r"master\.zip.*dataset/val\.txt"):
        fetch_dataset("grocery", tmp_path / "data" / "grocery")
    assert [p for p in below(tmp_path / "data") if p.endswith((".zip", ".part"))] == []
    server.files["master.zip"] = whole
    fetch_dataset("grocery", tmp_path / "data" / "grocery")
    assert len(load_catalog("grocery", tmp_path / "data" / "grocery")) == 13


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("test.txt", "test/Fruit/Royal-Gala/000.jpg, 0, 0\n", "", r"expected 4 images, found 3"),
        ("val.txt", ", 1, 1", ", one, 1", r"val\.txt row 1: .* is not `path, fine id, coarse id`"),
        ("val.txt", ", 1, 1", ", 77, 1", r"val\.txt row 1"),
        ("classes.csv", "Pink-Lady,2,Apple,0,/i,/d\n", "", r"expected 4 classes, found 3"),
    ],
)
def test_damaged_lists_are_named(small, tmp_path, file, old, new, words):
    root = fetch_dataset("grocery", tmp_path / "g", small)
    path = root / "dataset" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(UserError, match=words):
        load_catalog("grocery", root)
