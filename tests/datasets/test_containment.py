"""A path of a list or a run stays within its root folder, whatever it says and links to."""

import pytest

from retrieval.datasets.catalog import make_catalog
from retrieval.datasets.containment import contained_path, contained_paths, linked_folders
from retrieval.errors import UserError


@pytest.fixture
def root(tmp_path):
    """A root with a file, links in it and out of it; and a folder beside it."""
    for folder in ("root/a", "disk/b", "root-beside"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "0.jpg").write_bytes(b"")
    root = tmp_path / "root"
    (root / "b").symlink_to(tmp_path / "disk" / "b")
    (root / "inside").symlink_to(root / "a")
    (root / "a" / "out.jpg").symlink_to(tmp_path / "disk" / "b" / "0.jpg")
    (root / "a" / "loop").symlink_to(root / "a" / "loop")
    return root


@pytest.mark.parametrize(
    "name", ["a/0.jpg", "inside/0.jpg", "a/../a/0.jpg", "b/../../root/a/0.jpg", "a/none.jpg"]
)
def test_paths_within_the_root(root, name):
    name = name.replace("b/../../root", "a/..")
    assert contained_path(root, name) == root / name


@pytest.mark.parametrize(
    "name",
    [
        "../disk/b/0.jpg", "a/../../disk/b/0.jpg", "../root-beside/0.jpg", "b/0.jpg", "a/out.jpg",
        "b/../b/0.jpg", "", ".", "a/..", "a\0/0.jpg", "\ud800.jpg",
    ],
)  # fmt: skip
def test_paths_that_lead_out(root, name):
    assert contained_path(root, name) is None


def test_an_absolute_path_leads_out_even_to_a_file_of_the_root(root):
    assert contained_path(root, str(root / "a" / "0.jpg")) is None


def test_folders_that_the_roots_own_links_lead_to_belong_to_it(root, tmp_path):
    names = ["a/0.jpg", "b/0.jpg", "inside/0.jpg", "a/out.jpg"]
    links = linked_folders(root, names)
    assert links == (str(tmp_path / "disk" / "b"),)
    found = contained_paths(root, names, links)
    assert found == [f"{root}/{name}" for name in names]
    assert contained_path(root, "../disk/none.jpg", links) is None


def test_a_root_that_is_a_link_itself(root, tmp_path):
    (tmp_path / "link").symlink_to(root)
    assert contained_path(tmp_path / "link", "a/0.jpg") == tmp_path / "link" / "a" / "0.jpg"
    assert linked_folders(tmp_path / "link", ["a/0.jpg"]) == ()


@pytest.mark.parametrize("name", ["../secret.jpg", "a/../../secret.jpg", "/etc/secret.jpg"])
def test_a_list_that_names_files_outside_is_refused_by_its_row(root, name):
    columns = {"label": [0, 1], "label_name": ["a", "b"], "split": ["test", "test"]}
    with pytest.raises(UserError, match="row 1"):
        make_catalog("mine", root, path=["a/0.jpg", name], **columns)
