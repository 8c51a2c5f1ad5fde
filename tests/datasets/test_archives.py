import contextlib
import io
import tarfile
import zipfile
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.datasets.archives import ArchiveError, safe_name, unpack
from retrieval.errors import UserError
from tests.datasets.helpers import below

FILES = {"set/a.txt": b"first", "set/deep/b.txt": b"second" * 100}


def write_zip(path, files, link=None):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        if link:
            info = zipfile.ZipInfo(link)
            info.external_attr = 0o120777 << 16
            archive.writestr(info, "/etc/passwd")
    return path


def write_tar(path, files, link=None, kind=tarfile.SYMTYPE):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        if link:
            info = tarfile.TarInfo(link)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    return path


def manifest(files):
    return {n.removeprefix("set/"): (len(c), zlib.crc32(c)) for n, c in files.items()}


def unpack_here(archive, target, **options):
    unpack(archive, target, strip=1, progress=False, **options)


WRITERS = pytest.mark.parametrize("write", [write_zip, write_tar])


@WRITERS
def test_files_are_unpacked_below_the_stripped_folder(write, tmp_path):
    archive = write(tmp_path / "set.archive", FILES)
    unpack_here(archive, tmp_path / "out", manifest=manifest(FILES))
    assert below(tmp_path / "out") == ["a.txt", "deep", "deep/b.txt"]
    assert (tmp_path / "out/deep/b.txt").read_bytes() == FILES["set/deep/b.txt"]


def test_only_kept_members_are_unpacked_and_compared(tmp_path):
    archive = write_zip(tmp_path / "a.zip", FILES | {"set/README": b"changes often"})
    keep = lambda name: name != "README"  # noqa: E731
    unpack_here(archive, tmp_path / "out", manifest=manifest(FILES), keep=keep)
    assert "README" not in below(tmp_path / "out")


def refused(archive, tmp_path, match, **options):
    """Check that unpacking fails with one line and leaves the folder as it was."""
    target = tmp_path / "into" / "out"
    target.parent.mkdir()
    before = below(tmp_path)
    with pytest.raises(UserError, match=match) as error:
        unpack_here(archive, target, **options)
    assert "\n" not in str(error.value)
    assert below(tmp_path) == before
    return error.value


@WRITERS
@pytest.mark.parametrize(
    "name", ["../evil", "set/../../evil", "/etc/evil", "set/..", "C:/evil", "set\\..\\..\\evil"]
)
def test_a_member_that_points_outside_its_folder_is_refused(write, name, tmp_path):
    archive = write(tmp_path / "set.archive", FILES | {name: b"x"})
    refused(archive, tmp_path, "points outside its folder; nothing was unpacked")


def test_links_are_refused(tmp_path):
    refused(write_zip(tmp_path / "a.zip", FILES, link="set/link"), tmp_path, "'set/link' is a link")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_links_in_tar_archives_are_refused(kind, tmp_path):
    archive = write_tar(tmp_path / "a.tgz", FILES, link="set/link", kind=kind)
    refused(archive, tmp_path, "'set/link' is a link")


@given(st.text(alphabet=st.sampled_from("ab/.\\: "), min_size=1, max_size=12))
def test_a_safe_name_never_leaves_the_folder(name):
    import os.path

    try:
        safe = safe_name("x.zip", name)
    except ArchiveError:
        return
    assert os.path.normpath(f"/root/{safe}").startswith("/root")


@WRITERS
@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"set/a.txt": b"first"}, r"1 missing \(first: deep/b.txt\)"),
        (FILES | {"set/new.txt": b""}, r"1 unexpected \(first: new.txt\)"),
        (FILES | {"set/a.txt": b"longer than it was"}, r"1 different \(first: a.txt\)"),
        (FILES | {"set/a.txt": b"FIRST"}, r"a.txt"),  # same size: the CRC32 tells
    ],
)
def test_content_that_differs_from_the_manifest_is_refused(write, files, words, tmp_path):
    archive = write(tmp_path / "set.archive", files)
    error = refused(archive, tmp_path, words, manifest=manifest(FILES))
    assert isinstance(error, ArchiveError)


@WRITERS
def test_a_truncated_archive_is_refused(write, tmp_path):
    archive = write(tmp_path / "set.archive", FILES)
    archive.write_bytes(archive.read_bytes()[:-40])
    refused(archive, tmp_path, "damaged|not a whole zip or tar archive")


def test_a_flipped_byte_inside_a_member_is_found(tmp_path):
    archive = write_zip(tmp_path / "a.zip", FILES)
    data = bytearray(archive.read_bytes())
    data[data.index(b"b.txt") + 10] ^= 0xFF
    archive.write_bytes(data)
    refused(archive, tmp_path, "member deep/b.txt is damaged")


def test_a_file_that_is_no_archive_is_refused(tmp_path):
    page = tmp_path / "page.zip"
    page.write_text("<html>please log in</html>")
    refused(page, tmp_path, "not a whole zip or tar archive")


def test_what_exists_is_never_overwritten(tmp_path):
    archive = write_zip(tmp_path / "a.zip", FILES)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="not empty"):
        unpack_here(archive, tmp_path / "out")
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"
    assert below(tmp_path / "out") == ["mine.txt"]


def test_content_the_loader_refuses_never_appears(tmp_path):
    def verify(folder):
        assert (folder / "a.txt").exists()
        raise UserError(f"{folder}/list.txt is missing")

    archive = write_zip(tmp_path / "a.zip", FILES)
    refused(archive, tmp_path, "is not the archive expected: list.txt is missing", verify=verify)


def test_a_write_error_leaves_nothing(tmp_path):
    # A name longer than any file system takes: the last of the members cannot be written.
    archive = write_zip(tmp_path / "a.zip", FILES | {f"set/{'x' * 300}": b""})
    error = refused(archive, tmp_path, "a.zip.*File name too long")
    assert not isinstance(error, ArchiveError)


def written_by(path, write):
    """Write an archive and return its content."""
    return bytearray(write(path, FILES).read_bytes())


VERSION, FLAGS, METHOD = (4, 6), (6, 8), (8, 10)  # places in both headers of a zip member


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        (FLAGS, 1 << 0, "encrypted"),
        (FLAGS, 1 << 6, "encrypted"),
        (FLAGS, 1 << 13, "encrypted"),
        (FLAGS, 1 << 5, "as a patch"),
        (METHOD, 97, "method 97"),  # WavPack
        (VERSION, 99, "version 9.9"),
    ],
)
def test_a_zip_that_cannot_be_read_is_refused_before_anything_is_written(
    tmp_path, field, value, words
):
    data = written_by(tmp_path / "a.zip", write_zip)
    for signature, place in zip((b"PK\3\4", b"PK\1\2"), field, strict=True):
        at = -1
        while (at := data.find(signature, at + 1)) >= 0:
            data[at + place : at + place + 2] = value.to_bytes(2, "little")
    (tmp_path / "a.zip").write_bytes(data)
    refused(tmp_path / "a.zip", tmp_path, f"{words}.*nothing was unpacked")


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damage_of_any_method_is_one_line(tmp_path, method):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive:
        archive.writestr("set/a", bytes(range(256)) * 40)
    data = bytearray((tmp_path / "a.zip").read_bytes())
    for at in range(36, 60):
        data[at] ^= 0xFF
    (tmp_path / "a.zip").write_bytes(data)
    refused(tmp_path / "a.zip", tmp_path, "damaged")


def plain_tar(path, files):
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("a flipped byte in the second header", "header"),
        ("a zeroed second header", "after its end"),
        ("cut before the second header", "header"),
        ("cut within the second header", "header"),
    ],
)
def test_a_tar_with_a_damaged_header_is_not_unpacked_in_part(tmp_path, damage, words):
    data = bytearray(plain_tar(tmp_path / "a.tar", FILES).read_bytes())
    second = 1024  # a header of 512 bytes and one block of content
    if "flipped" in damage:
        data[second + 3] ^= 0x10
    elif "zeroed" in damage:
        data[second : second + 512] = bytes(512)
    else:
        del data[second + 100 * ("within" in damage) :]
    (tmp_path / "a.tar").write_bytes(data)
    refused(tmp_path / "a.tar", tmp_path, words)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.99])
@WRITERS
def test_a_truncated_archive_leaves_nothing(write, tmp_path, share):
    data = written_by(tmp_path / "a", write)
    (tmp_path / "a").write_bytes(data[: int(share * len(data))])
    refused(tmp_path / "a", tmp_path, "damaged|not a whole")


@WRITERS
def test_any_damage_is_one_line_or_harmless(write, tmp_path):
    whole, random = written_by(tmp_path / "a", write), np.random.default_rng(0)
    for attempt in range(200):
        data = bytearray(whole)
        for at in random.integers(0, len(data), 3):
            data[at] = random.integers(256)
        (tmp_path / "a").write_bytes(data)
        target = tmp_path / f"out{attempt}"
        with contextlib.suppress(UserError):
            unpack_here(tmp_path / "a", target)
            continue
        assert not target.exists()
    assert not list(tmp_path.glob(".tmp-*"))


@WRITERS
def test_an_archive_that_unpacks_to_too_much_is_refused(write, tmp_path):
    archive = write(tmp_path / "a", {"set/zeros": bytes(10_000_000)})
    assert archive.stat().st_size < 100_000
    refused(archive, tmp_path, "more than 0.0 GB", most=1_000_000)


@WRITERS
def test_control_characters_in_a_name_are_refused(write, tmp_path):
    refused(write(tmp_path / "a", {"set/a\x1bb": b"x"}), tmp_path, "control characters")
