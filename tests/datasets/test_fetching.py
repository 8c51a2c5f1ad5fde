"""Fetching the benchmarks from a loopback server with archives of their own layout."""

import hashlib
import io
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import replace

import pytest

from retrieval.datasets import (
    cub200,
    fetch_dataset,
    load_catalog,
    omniglot,
    stanford_online_products,
)
from retrieval.datasets.fetching import MARK, write_mark
from retrieval.datasets.official import Counts
from retrieval.datasets.placeholder import write_placeholder
from retrieval.errors import UserError
from tests.datasets.helpers import below, write_photo

MODULES = {"cub200": cub200, "sop": stanford_online_products}


def pack(root, kind):
    """Pack a folder as its public archive is packed, with the stray files that one has."""
    buffer = io.BytesIO()
    files = {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}
    files.pop("PLACEHOLDER.txt")
    if kind == "cub200":
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            for name, content in (files | {"attributes.txt": b"1 x\n"}).items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    else:
        stray = {"Stanford_Online_Products/._Ebay_train.txt": b"mac", "__MACOSX/x": b""}
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, content in (files | stray).items():
                archive.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture(params=sorted(MODULES))
def public(request, photos, tmp_path, monkeypatch, server):
    """A benchmark whose public archive is a small one on the loopback server."""
    name = request.param
    data = pack(write_placeholder(name, photos, tmp_path / "made", classes=2), name)
    server.files["archive"] = data
    digest = "md5:" + hashlib.md5(data).hexdigest()
    module = MODULES[name]
    archive = replace(module.ARCHIVE, url=server.url("archive"), digest=digest)
    monkeypatch.setattr(module, "ARCHIVE", archive)
    monkeypatch.setattr(module, "COUNTS", Counts(8, 8, 2, 2))
    monkeypatch.setattr("retrieval.datasets.download.time.sleep", lambda _: None)
    monkeypatch.setattr("retrieval.datasets.download.CHUNK", 64)  # the archives are small
    return name, tmp_path / "data" / name, data


def test_fetch_survives_drops_and_corrupt_bytes(public, server):
    name, root, _ = public
    server.script = ["drop", "drop", "corrupt", "drop", "ok"]
    fetch_dataset(name, root)
    assert len(load_catalog(name, root)) == 16
    assert [asked is None for _, asked in server.requests] == [True, False, False, True, False]
    assert [p.name for p in root.parent.iterdir()] == [name]  # no archive left behind


def test_fetch_twice_downloads_once(public, server):
    name, root, _ = public
    fetch_dataset(name, root)
    fetch_dataset(name, root)
    assert len(server.requests) == 1


def test_a_copy_on_disk_needs_no_network_and_is_kept(public, server, tmp_path):
    name, root, data = public
    copy = tmp_path / "copy.archive"
    copy.write_bytes(data)
    fetch_dataset(name, root, copy)
    assert len(load_catalog(name, root)) == 16
    assert copy.exists()
    assert server.requests == []


def test_corrupt_to_the_end_leaves_nothing(public, server):
    name, root, _ = public
    server.script = ["corrupt", "corrupt"]
    with pytest.raises(UserError, match="digest"):
        fetch_dataset(name, root)
    assert not root.exists()
    assert [p for p in below(root.parent) if p.endswith((".part", "archive"))] == []


def test_an_archive_of_something_else_is_refused(public, tmp_path):
    name, root, _ = public
    other = tmp_path / "other.zip"
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(UserError, match=r"other\.zip .*missing"):
        fetch_dataset(name, root, other)
    assert not root.exists()


def test_an_archive_with_a_photo_missing_is_refused(public, tmp_path, photos):
    name, root, _ = public
    made = tmp_path / "made"
    next(p for p in sorted(made.rglob("*")) if p.suffix.lower() == ".jpg").unlink()
    copy = tmp_path / "copy.archive"
    copy.write_bytes(pack(made, name))
    with pytest.raises(UserError, match=r"1 file missing"):
        fetch_dataset(name, root, copy)
    assert not root.exists()


def test_omniglot_comes_in_two_archives(tmp_path, monkeypatch, server):
    monkeypatch.setattr(omniglot, "COUNTS", Counts(4, 2, 2, 1))
    monkeypatch.setattr(omniglot, "SITE", server.url("").rstrip("/"))
    digests = {}
    for part, characters in (("images_background", (1, 2)), ("images_evaluation", (1,))):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for character in characters:
                for n in range(2):
                    name = f"{part}/Old_Church/character{character:02d}/{n}.png"
                    photo = write_photo(tmp_path / "made" / name, seed=n)
                    archive.writestr(name, photo.read_bytes())
        server.files[f"{part}.zip"] = buffer.getvalue()
        digests[part] = "md5:" + hashlib.md5(buffer.getvalue()).hexdigest()
    monkeypatch.setattr(omniglot, "ARCHIVES", digests)
    with pytest.raises(UserError, match="in both train and test"):
        # the real parts share no alphabet; a character on both sides must not pass
        fetch_dataset("omniglot", tmp_path / "o")
    (tmp_path / "o/images_evaluation/Old_Church").rename(
        tmp_path / "o/images_evaluation/New_Church"
    )
    items = load_catalog("omniglot", tmp_path / "o").items
    assert items["label_name"].unique().tolist() == [
        "Old Church character01",
        "Old Church character02",
        "New Church character01",
    ]
    assert items["split"].tolist() == ["train"] * 4 + ["test"] * 2
    assert set(items["super_name"]) == {"Old Church", "New Church"}


def test_omniglot_takes_no_single_archive(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"")
    with pytest.raises(UserError, match="two archives"):
        fetch_dataset("omniglot", tmp_path / "o", tmp_path / "a.zip")


def first_photo(root):
    return next(p for p in sorted(root.rglob("*")) if p.suffix.lower() == ".jpg")


@pytest.mark.parametrize("damage", ["missing", "empty", "flipped"])
def test_a_fetched_folder_that_is_not_whole_is_not_called_ready_and_is_repaired(
    public, damage, tmp_path
):
    name, root, _ = public
    fetch_dataset(name, root)
    photo = first_photo(root)
    whole = photo.read_bytes()
    (root / "notes.txt").write_text("mine")
    if damage == "missing":
        photo.unlink()
    else:
        photo.write_bytes(b"" if damage == "empty" else whole[:-1] + b"x")
    with pytest.raises(UserError, match=rf"1 of .* files is .*{photo.name}.*--repair"):
        fetch_dataset(name, root)
    fetch_dataset(name, root, repair=True)
    assert photo.read_bytes() == whole
    assert (root / "notes.txt").read_text() == "mine"
    assert sorted(p.name for p in root.parent.iterdir()) == [name]
    fetch_dataset(name, root)


def test_repair_replaces_nothing_that_this_program_has_not_fetched(public, tmp_path):
    name, root, _ = public
    fetch_dataset(name, root)
    (root / MARK).unlink()
    photo = first_photo(root)
    gone = photo.with_name(sorted(p.name for p in photo.parent.iterdir())[-1])
    gone.unlink()
    photo.write_bytes(b"edited")
    with pytest.raises(UserError, match="left as they are"):
        fetch_dataset(name, root, repair=True)
    assert photo.read_bytes() == b"edited"
    assert gone.exists()
    assert sorted(p.name for p in root.parent.iterdir()) == [name]


@pytest.mark.parametrize("whole", [False, True])
def test_what_a_killed_fetch_left_is_removed_by_the_next(public, whole):
    name, root, _ = public
    downloads = root.parent / ".downloads"
    downloads.mkdir(parents=True)
    if whole:  # it was killed after it had published the folder
        fetch_dataset(name, root)
        (root.parent / f".{name}.making.lock").touch()
        downloads.mkdir()
    (root.parent / f".{name}.fetch.lock").touch()
    (downloads / f"{name}-archive").write_bytes(b"half")
    fetch_dataset(name, root)
    assert [path.name for path in root.parent.iterdir()] == [name]


def test_a_repair_that_was_killed_is_done_anew(public):
    name, root, _ = public
    fetch_dataset(name, root)
    left = root.parent / f".{name}.repair"
    left.mkdir()
    write_mark(left, {"a": (1, 1)})
    first_photo(root).unlink()
    fetch_dataset(name, root, repair=True)
    assert not left.exists()


def test_a_folder_of_something_else_is_left_alone(public):
    name, root, _ = public
    root.mkdir(parents=True)
    (root / "thesis.txt").write_text("mine")
    for repair in (False, True):
        with pytest.raises(UserError):
            fetch_dataset(name, root, repair=repair)
        assert [p.name for p in root.iterdir()] == ["thesis.txt"]
        assert (root / "thesis.txt").read_text() == "mine"


SCRIPT = """
import sys
from dataclasses import replace
from retrieval.datasets import cub200, fetch_dataset
from retrieval.datasets.official import Counts
cub200.ARCHIVE = replace(cub200.ARCHIVE, url=sys.argv[1], digest=sys.argv[2])
cub200.COUNTS = Counts(8, 8, 2, 2)
fetch_dataset("cub200", sys.argv[3])
"""


def test_of_several_processes_one_fetches_and_the_others_wait(public, server, tmp_path):
    name, root, _ = public
    if name != "cub200":
        return
    command = [sys.executable, "-c", SCRIPT, cub200.ARCHIVE.url, cub200.ARCHIVE.digest, str(root)]
    processes = [subprocess.Popen(command) for _ in range(3)]
    assert [process.wait() for process in processes] == [0] * 3
    assert len(server.requests) == 1
    assert len(load_catalog(name, root)) == 16
    assert sorted(p.name for p in root.parent.iterdir()) == [name]
