"""Published counts and lists are checked and read once; a malformed row of a list is named."""

import time

import pandas as pd
import pytest

from retrieval.datasets import load_catalog, official
from retrieval.datasets.official import read_table
from retrieval.errors import UserError
from tests.datasets.benchmark_files import (
    BENCHMARKS,
    LISTS,
    MODULES,
    PUBLISHED,
    write_cub,
    write_sop,
)

COLUMNS = {"id": int, "path": str, "x": float}


@pytest.fixture(params=sorted(BENCHMARKS))
def benchmark(request, tmp_path, monkeypatch):
    return request.param, BENCHMARKS[request.param](tmp_path / "set", monkeypatch)


def test_other_counts_than_the_published_are_refused(benchmark, monkeypatch):
    name, root = benchmark
    monkeypatch.setattr(MODULES[name], "COUNTS", PUBLISHED[name])
    expected = f"{PUBLISHED[name].train_images:,} / {PUBLISHED[name].test_images:,}"
    with pytest.raises(UserError, match=rf"expected {expected} train / test images, found \d / \d"):
        load_catalog(name, root)


def test_a_missing_image_says_how_many_and_which(benchmark):
    name, root = benchmark
    catalog = load_catalog(name, root)
    (catalog.root / catalog.items["path"][1]).unlink()
    with pytest.raises(UserError, match=r"expected 2 / .* found 1 / .*: 1 file missing, first: "):
        load_catalog(name, root)


def test_a_missing_list_is_named(benchmark):
    name, root = benchmark
    (root / LISTS[name]).unlink()
    with pytest.raises(UserError, match=rf"{LISTS[name].rsplit('/')[-1]} "):
        load_catalog(name, root)


def test_a_damaged_list_is_named(benchmark):
    name, root = benchmark
    (root / LISTS[name]).write_text("5\nheader\n1 2 3 4 5 6 7\nnot a list")
    with pytest.raises(UserError, match=LISTS[name].rsplit("/")[-1]) as error:
        load_catalog(name, root)
    assert "\n" not in str(error.value)


def test_an_image_that_no_list_gives_a_class_is_named(tmp_path, monkeypatch):
    root = write_cub(tmp_path / "set", monkeypatch)
    (root / "CUB_200_2011/image_class_labels.txt").write_text("1 1\n2 1\n3 2\n4 2\n")
    with pytest.raises(UserError, match=r"image 5 \(003\.Sooty.* is not in all lists"):
        load_catalog("cub200", root)


def test_a_second_load_is_equal_and_reads_no_list(benchmark, monkeypatch):
    name, root = benchmark
    first = load_catalog(name, root)
    monkeypatch.setattr(official, "check_counts", lambda *_: None)
    monkeypatch.setattr(pd, "read_csv", lambda *_, **__: pytest.fail("read a list again"))
    monkeypatch.setattr("scipy.io.loadmat", lambda *_, **__: pytest.fail("read a list again"))
    second = load_catalog(name, root)
    pd.testing.assert_frame_equal(first.items, second.items)
    assert (first.root, first.options, first.query_gallery_title) == (
        second.root,
        second.options,
        second.query_gallery_title,
    )


def test_a_changed_list_is_read_again(tmp_path, monkeypatch):
    root = write_cub(tmp_path / "set", monkeypatch)
    load_catalog("cub200", root)
    time.sleep(0.01)
    classes = root / "CUB_200_2011/classes.txt"
    classes.write_text(classes.read_text().replace("Sooty", "Snowy"))
    assert load_catalog("cub200", root).items["label_name"].tolist()[-1] == "Snowy Albatross"
    assert len(list((tmp_path / "cache/catalogs").iterdir())) == 1


def test_a_folder_that_moved_with_its_cache_is_found_where_it_is(tmp_path, monkeypatch):
    root = write_sop(tmp_path / "set", monkeypatch)
    monkeypatch.chdir(tmp_path)
    load_catalog("sop", "set")
    monkeypatch.chdir(tmp_path / "work")
    assert load_catalog("sop", root).root == root / "Stanford_Online_Products"


@pytest.mark.parametrize("name", ["cars196", "inshop"])
def test_where_no_download_exists_the_manual_steps_are_told(name, tmp_path):
    with pytest.raises(UserError, match=f"`mkdir -p data/{name}") as error:
        load_catalog(name, tmp_path / name)
    assert "\n" not in str(error.value)


def test_values_have_the_declared_types(tmp_path):
    (tmp_path / "list.txt").write_text("head\n1 a/b.jpg 2\n2 c.jpg 0.5\n")
    table = read_table(tmp_path / "list.txt", COLUMNS, skip=1)
    assert table.to_dict("list") == {"id": [1, 2], "path": ["a/b.jpg", "c.jpg"], "x": [2.0, 0.5]}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("two a.jpg 1", r"list.txt row 3: id is 'two' \(columns: id, path, x\)$"),
        ("2 a.jpg one", r"list.txt row 3: x is 'one' \(columns: id, path, x\)$"),
        ("2 a.jpg", "list.txt row 3: expected id, path, x$"),
        ("2", "list.txt row 3: expected id, path, x$"),
        ("2 a.jpg 1 1", "list.txt row 3: expected id, path, x; found 4 values$"),
        ("2 a b.jpg 1 1", "list.txt row 3: expected id, path, x; found 5 values$"),
        ("1.5 a.jpg 1", r"list.txt row 3: id is '1.5' \(columns: id, path, x\)$"),
    ],
)
def test_a_malformed_row_is_named_in_one_line(tmp_path, row, message):
    (tmp_path / "list.txt").write_text(f"head\n1 a.jpg 1\n{row}\n3 b.jpg 1\n")
    with pytest.raises(UserError, match=message) as caught:
        read_table(tmp_path / "list.txt", COLUMNS, skip=1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("separator", [" ", r"\s+"])
def test_a_list_of_too_many_columns_is_not_read_shifted_by_one(tmp_path, separator):
    (tmp_path / "list.txt").write_text("head\n7 1 a.jpg 1\n7 2 b.jpg 1\n")
    with pytest.raises(UserError, match=r"list\.txt row 2: .*id, path, x.*4 "):
        read_table(tmp_path / "list.txt", COLUMNS, skip=1, separator=separator)
