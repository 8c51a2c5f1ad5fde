import io
import tarfile
import zipfile
import zlib

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
