"""Fetching the benchmarks from a loopback server with archives of their own layout."""

import hashlib
import io
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
    items = load_catalog("omniglot", fetch_dataset("omniglot", tmp_path / "o")).items
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
