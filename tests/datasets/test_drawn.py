"""Folders that the program draws itself: once, whole, and never in the place of others' files."""

import os
import subprocess
import sys

import pytest

from retrieval.datasets import load_catalog
from retrieval.datasets.drawn import MARK, draw_once
from retrieval.errors import UserError
from tests.datasets.helpers import below

FILES = ["a/0.png", "b/0.png"]


def draw(folder, content=b"drawn"):
    for name in FILES:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    return FILES


def drawn(target, made_by="shapes 1", content=b"drawn", before=()):
    return draw_once(
        target, made_by, lambda folder: draw(folder, content), drawn_before=lambda mark: before
    )


@pytest.fixture
def target(tmp_path):
    return tmp_path / "data" / "shapes"


def test_a_folder_is_drawn_once(target):
    assert drawn(target) == FILES
    assert drawn(target, content=b"again") == FILES
    assert (target / "a/0.png").read_bytes() == b"drawn"
    assert below(target.parent) == sorted(
        ["shapes", "shapes/a", "shapes/b", *(f"shapes/{p}" for p in (*FILES, MARK))]
    )


@pytest.mark.parametrize("change", ["another version", "a missing file"])
def test_what_is_not_whole_or_of_another_version_is_drawn_anew(target, change):
    drawn(target)
    if change == "a missing file":
        (target / FILES[0]).unlink()
    version = "shapes 2" if change == "another version" else "shapes 1"
    drawn(target, version, content=b"anew")
    assert (target / "a/0.png").read_bytes() == b"anew"
    assert (target / "b/0.png").read_bytes() == b"anew"


@pytest.mark.parametrize(
    "files", [["thesis.txt"], ["a/0.png", "b/0.png"], ["a/0.png", "deep/er/x"], [".hidden"]]
)
@pytest.mark.parametrize("marked", [False, True])
def test_files_of_others_are_never_removed(target, files, marked):
    if marked:
        drawn(target)
        files = [f"mine/{name}" for name in files]
    for name in files:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_text("mine")
    before = below(target.parent)
    with pytest.raises(UserError, match="has not drawn") as error:
        drawn(target, "shapes 2")
    assert "\n" not in str(error.value)
    assert below(target.parent) == before
    assert all((target / name).read_text() == "mine" for name in files)


@pytest.mark.parametrize(
    "mark", ["{", "[]", '{"files": ["a/0.png"]}', '{"made_by": "album 3", "files": ["a/0.png"]}']
)
@pytest.mark.parametrize("files", [[], ["a/0.png"]])
def test_an_index_of_another_program_is_no_mark(target, mark, files):
    for name, content in {MARK: mark, **dict.fromkeys(files, "mine")}.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_text(content)
    before = below(target)
    with pytest.raises(UserError, match="has not drawn"):
        drawn(target)
    assert below(target) == before
    assert (target / MARK).read_text() == mark


def test_a_file_or_a_link_in_the_way_is_left_alone(target, tmp_path):
    target.parent.mkdir()
    target.write_text("mine")
    with pytest.raises(UserError, match="in the way"):
        drawn(target)
    assert target.read_text() == "mine"
    target.unlink()
    target.symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(UserError, match="in the way"):
        drawn(target)
    assert target.is_symlink()


def test_images_of_a_version_without_marks_are_kept(target):
    target.mkdir(parents=True)
    draw(target, b"before")
    assert drawn(target, before=FILES) == FILES
    assert (target / "a/0.png").read_bytes() == b"before"
    (target / "a/0.png").unlink()
    with pytest.raises(UserError, match="has not drawn"):
        drawn(target, before=FILES)


def test_the_users_folder_with_the_name_of_a_subset_is_left_alone(tmp_path):
    mine = tmp_path / "my" / "sample" / "thesis.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(UserError, match="sample holds 1 file"):
        load_catalog("typefaces", tmp_path / "my", subset="sample")
    assert mine.read_text() == "mine"


SCRIPT = """
import sys
from retrieval.datasets import load_catalog
from retrieval.datasets.placeholder import make_placeholder
if sys.argv[1] == "cub200":
    root = make_placeholder("cub200", sys.argv[2] + "/cub200", data=sys.argv[2])
    print(len(load_catalog("cub200", root)))
else:
    options = {"subset": "sample"} if sys.argv[1] == "typefaces" else {}
    print(len(load_catalog(sys.argv[1], sys.argv[2] + "/" + sys.argv[1], **options)))
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["digits", "cub200"])  # the latter draws typefaces first
def test_processes_that_need_the_same_images_at_once_all_get_them(tmp_path, name):
    command = [sys.executable, "-c", SCRIPT, name, str(tmp_path / "data")]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ, text=True)
        for _ in range(3)
    ]
    counts = {process.communicate()[0].splitlines()[-1] for process in processes}
    assert [process.returncode for process in processes] == [0] * 3
    assert len(counts) == 1
    assert int(counts.pop()) > 100
    assert not [p for p in below(tmp_path / "data") if ".tmp-" in p or ".lock" in p]
