"""An index is written as a whole, with what it misses, and read back only if it is whole."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

from retrieval.deployment.gallery import Gallery, gallery_of_run, open_gallery
from retrieval.deployment.index import build_index, measure, measure_index, write_index
from retrieval.deployment.index_files import read_index, read_manifest
from retrieval.deployment.nearest import nearest
from retrieval.errors import UserError
from retrieval.runs.embedding_source import Source
from tests.deployment.helpers import files_of


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    """Three hundred vectors around thirty centers, with a price and a date each."""
    draw = np.random.default_rng(0)
    centers = draw.normal(size=(30, 16))
    vectors = np.repeat(centers, 10, 0) + 0.3 * draw.normal(size=(300, 16))
    items = pd.DataFrame(
        {
            "path": [f"{row}.jpg" for row in range(300)],
            "label": np.repeat(np.arange(30), 10).astype(str),
            "price": [None if row == 7 else row / 2 for row in range(300)],
            "kind": pd.Categorical(["a", "b"] * 150),
            "day": pd.Timestamp("2026-01-02"),
        }
    )
    folder = tmp_path_factory.mktemp("images")
    source = Source("/runs/x", "abc", 3, 16, "cosine", "32", None, "none", "normalized")
    return Gallery(
        folder / "x.npy", items, 16, "cosine", vectors.astype(np.float32), None, source, folder
    )


@pytest.mark.parametrize(("kind", "least"), [("flat", 1.0), ("hnsw", 0.99), ("ivfpq", 0.2)])
def test_an_index_finds_and_keeps_its_items(gallery, tmp_path, kind, least):
    made = write_index(gallery, tmp_path / "index", kind, k=5, n_checked=100)
    assert least <= made.recall <= 1
    assert (made.n, made.width, made.k, made.n_checked) == (300, 16, 5, 100)
    assert made.queries_per_second > 0
    size = (tmp_path / "index/index.faiss").stat().st_size
    assert made.bytes_per_vector == size / 300
    assert json.loads((tmp_path / "index/manifest.json").read_text())["type"] == kind
    opened = open_gallery(tmp_path / "index")
    assert opened.source == gallery.source
    assert opened.images == gallery.images
    assert opened.columns == ["label", "path", "price", "kind", "day"]
    pd.testing.assert_frame_equal(opened.items, gallery.items, check_dtype=False)
    assert opened.index.ntotal == 300
    assert not list(tmp_path.glob(".*"))


def test_recall_is_the_share_of_exact_neighbors_without_the_query_itself(gallery):
    vectors = gallery.vectors

    def half(queries, k):  # finds the query itself and every other neighbor
        return nearest(queries, vectors, "cosine", k)[0][:, ::2]

    measured = measure(vectors, "cosine", half, k=6, n_checked=50, seed=3)
    assert measured.recall == 0.5
    assert measured.n_checked == 50
    everything = measure(
        vectors, "cosine", lambda q, k: nearest(q, vectors, "cosine", k)[0], k=1000
    )
    assert (everything.recall, everything.k, everything.n_checked) == (1.0, 299, 300)


def test_two_draws_of_one_seed_are_the_same(gallery):
    index = build_index(gallery.vectors, "cosine", "ivfpq").index
    first, again = (
        measure_index(gallery.vectors, "cosine", index, n_checked=40, seed=5).recall
        for _ in range(2)
    )
    assert first == again


def test_lancedb_finds_the_exact_neighbors_with_all_columns(gallery, tmp_path):
    import lancedb

    made = write_index(gallery, tmp_path / "lance", "lancedb", k=5, n_checked=20)
    assert made.recall == 1
    table = lancedb.connect(str(tmp_path / "lance")).open_table("vectors")
    found = table.search(gallery.vectors[42]).distance_type("cosine").limit(1).to_list()[0]
    assert (found["path"], found["price"], found["kind"]) == ("42.jpg", 21.0, "a")
    with pytest.raises(UserError, match="LanceDB"):
        open_gallery(tmp_path / "lance")


def test_nothing_is_replaced_unless_asked_and_never_what_is_no_index(gallery, tmp_path):
    out = tmp_path / "index"
    write_index(gallery, out)
    before = files_of(tmp_path)
    with pytest.raises(UserError, match="--overwrite"):
        write_index(gallery, out, "hnsw")
    assert files_of(tmp_path) == before
    assert write_index(gallery, out, "hnsw", overwrite=True).type == "hnsw"
    assert read_manifest(out).type == "hnsw"
    assert not list(tmp_path.glob(".*"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").touch()
    with pytest.raises(UserError, match="no index"):
        write_index(gallery, tmp_path / "mine", overwrite=True)


def test_an_index_whose_replacement_was_killed_is_there_again(gallery, tmp_path):
    out = tmp_path / "index"
    write_index(gallery, out)
    before = files_of(out)
    out.rename(tmp_path / ".index.old")  # where names cannot be exchanged, a kill may leave this
    with pytest.raises(UserError, match=r"exists; .*--overwrite"):
        write_index(gallery, out, "hnsw")
    assert files_of(out) == before
    assert not list(tmp_path.glob(".*"))


def test_processes_that_write_one_index_take_turns(gallery, tmp_path):
    out = tmp_path / "index"
    write_index(gallery, out)
    with ThreadPoolExecutor(4) as pool:
        kinds = ["flat", "hnsw"] * 2
        made = pool.map(lambda kind: write_index(gallery, out, kind, overwrite=True), kinds)
        assert [each.type for each in made] == kinds
    assert len(read_index(out).items) == 300
    assert not list(tmp_path.glob(".*"))


def test_what_is_damaged_is_refused_in_one_line(gallery, tmp_path):
    out = tmp_path / "index"
    write_index(gallery, out)
    whole = (out / "index.faiss").read_bytes()
    (out / "index.faiss").write_bytes(whole[:-5])
    with pytest.raises(UserError, match="damaged"):
        read_index(out)
    (out / "index.faiss").write_bytes(whole)
    gallery.items.head(3).to_parquet(out / "ids.parquet")
    with pytest.raises(UserError, match="do not belong together"):
        read_index(out)
    (out / "manifest.json").write_text("{")
    with pytest.raises(UserError, match=r"manifest\.json: missing or damaged"):
        read_index(out)


def test_what_cannot_be_indexed_is_refused(gallery, run, tmp_path):
    with pytest.raises(UserError, match="annoy"):
        write_index(gallery, tmp_path / "x", "annoy")
    small = gallery_of_run(run)
    with pytest.raises(UserError, match="at least 256 vectors"):
        write_index(small, tmp_path / "x", "ivfpq")
    assert not list(tmp_path.iterdir())
    write_index(small, tmp_path / "x")
    with pytest.raises(UserError, match="is an index"):
        write_index(open_gallery(tmp_path / "x"), tmp_path / "y")
