"""Photos find the nearest items of a run, of vectors or of an index, with all that is known."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import retrieval
from retrieval import open_run
from retrieval.deployment.embed_to_file import embed_to_file
from retrieval.deployment.gallery import open_gallery
from retrieval.deployment.index import write_index
from retrieval.deployment.search import gallery_for, read_queries, search
from retrieval.deployment.search_page import search_page, write_search_page
from retrieval.errors import UserError
from retrieval.experiment.pipeline import train
from retrieval.runs.embedding_source import KEY, Source
from retrieval.runs.importing import import_files


@pytest.fixture(scope="module")
def embedder(_finished):
    return retrieval.load_embedder(_finished)


@pytest.fixture(scope="module")
def vectors(_finished, settings, tmp_path_factory):
    """All 48 images as vectors, made of a list with a price and a link."""
    folder = tmp_path_factory.mktemp("vectors")
    names = [f"class {c}/{i}.png" for c in range(8) for i in range(6)]
    table = pd.DataFrame({"path": names, "label": [name[:7] for name in names]})
    table["price"] = [None if row == 5 else row * 1.5 for row in range(48)]
    table["added"] = [f"2024-12-{1 + row % 9:02}" for row in range(48)]
    table["page"] = "https://example.org/a?b=1&c=2"
    table.to_csv(folder / "list.csv", index=False)
    out = folder / "x.parquet"
    embed_to_file(_finished, folder / "list.csv", out, image_root=settings.data, progress=False)
    return out


def found(embedder, photos, gallery=None, **options):
    opened = gallery_for(embedder, gallery)
    return search(read_queries([str(p) for p in photos], embedder), opened, embedder, **options)


def test_a_photo_of_the_run_finds_itself_and_what_is_near(run, settings, embedder):
    row = 11
    photo = f"{settings.data}/{run.items['path'][row]}"
    hits = found(embedder, [photo], k=4)
    assert hits.rows.shape == (1, 4)
    assert hits.rows[0, 0] == row
    assert hits.similarities[0, 0] == pytest.approx(1, abs=1e-5)
    np.testing.assert_array_equal(hits.rows[0, 1:], run.neighbors().ids[row][:3])
    table = hits.table(0)
    assert table.columns.tolist()[:4] == ["rank", "similarity", "label", "path"]
    assert table["path"][0] == run.items["path"][row]
    assert table["label"][0] == run.items["label_name"][row]
    assert "exact, among 24, cosine" in hits.how


def test_vectors_of_a_list_show_its_columns(settings, embedder, vectors, tmp_path):
    photo = f"{settings.data}/class 7/3.png"
    hits = found(embedder, [photo, photo], vectors, k=3)
    table = hits.table(1)
    assert table.columns.tolist() == [
        "rank",
        "similarity",
        "label",
        "path",
        "price",
        "added",
        "page",
    ]
    assert table.iloc[0][["label", "path", "price"]].tolist() == ["class 7", "class 7/3.png", 67.5]
    assert not hits.warnings
    data = json.loads(json.dumps(hits.as_json(), allow_nan=False))
    assert [len(each["hits"]) for each in data["queries"]] == [3, 3]
    assert data["queries"][0]["hits"][0] | {"similarity": 1} == {
        "row": 45, "rank": 1, "similarity": 1, "label": "class 7", "path": "class 7/3.png",
        "price": 67.5, "added": "2024-12-01", "page": "https://example.org/a?b=1&c=2",
    }  # fmt: skip


def test_the_table_writes_days_and_prices_as_the_page_does(settings, embedder, vectors):
    table = found(embedder, [f"{settings.data}/class 7/3.png"], vectors, k=48).text_table(0)
    texts = table.set_index("path")[["price", "added", "page"]]
    assert texts.loc["class 7/3.png"].tolist() == [
        "67.5",
        "2024-12-01",
        "https://example.org/a?b=1&c=2",
    ]
    assert texts.loc["class 7/2.png", "price"] == "66.0"
    assert texts.loc["class 0/5.png", "price"] == ""


@pytest.mark.parametrize("suffix", [".npy", ".h5"])
def test_other_formats_are_searched_with_their_items(run, settings, embedder, tmp_path, suffix):
    out = tmp_path / f"x{suffix}"
    embed_to_file(run.path, settings.data, out, progress=False)
    hits = found(embedder, [f"{settings.data}/class 2/4.png"], out)
    assert hits.table(0)["path"][0] == "class 2/4.png"
    assert not hits.warnings


def test_an_index_and_an_index_on_request_find_what_exact_search_finds(
    settings, embedder, vectors, tmp_path
):
    photos = [f"{settings.data}/class {c}/0.png" for c in range(8)]
    exact = found(embedder, photos, vectors, k=5)
    requested = found(embedder, photos, vectors, k=5, index="hnsw")
    np.testing.assert_array_equal(requested.rows, exact.rows)
    assert "APPROXIMATE" in requested.how
    assert "recall@5 100.00%" in requested.how
    write_index(open_gallery(vectors), tmp_path / "index", "flat")
    by_index = found(embedder, photos, tmp_path / "index", k=5)
    np.testing.assert_array_equal(by_index.rows, exact.rows)
    assert "by an index, flat of 48 vectors, recall@10 100.00%" in by_index.how
    pd.testing.assert_frame_equal(
        by_index.table(0), exact.table(0), check_dtype=False, rtol=1e-5, atol=1e-5
    )
    assert str(by_index.gallery.image(0)) == f"{settings.data}/class 0/0.png"
    with pytest.raises(UserError, match="drop --index"):
        found(embedder, photos, tmp_path / "index", index="hnsw")


@pytest.mark.slow
def test_vectors_of_another_network_are_refused_and_unknown_ones_warned_of(
    run, settings, embedder, vectors, tmp_path
):
    photo = f"{settings.data}/class 2/4.png"
    other = train(settings.with_(seed=5), runs=tmp_path, name="other", progress=False)
    with pytest.raises(
        UserError, match=r"vectors are by .*one, step 6, and the queries' by .*other"
    ):
        found(retrieval.load_embedder(other), [photo], vectors)
    with pytest.raises(UserError, match="vectors are by"):
        found(embedder, [photo], other)
    wide = train(settings.with_(embedding_size=4), runs=tmp_path, name="wide", progress=False)
    with pytest.raises(UserError, match=r"8 dimensions by .*gives 4"):
        found(retrieval.load_embedder(wide), [photo], vectors)
    flipped = found(retrieval.load_embedder(run.path, test_time="flip"), [photo], vectors)
    assert any("test_time none / flip" in line for line in flipped.warnings)
    np.save(tmp_path / "foreign.npy", run.embeddings)
    unknown = found(embedder, [photo], tmp_path / "foreign.npy")
    assert any("does not say which network" in line for line in unknown.warnings)
    assert unknown.table(0)["path"].str.fullmatch(r"row \d+").all()


def test_an_imported_run_is_searched_with_its_metadata(run, settings, embedder, tmp_path):
    items = run.items[["path", "label"]].assign(price=range(24))
    items.to_csv(tmp_path / "items.csv", index=False)
    np.save(tmp_path / "x.npy", run.embeddings)
    imported = import_files(
        tmp_path / "runs/mine/x",
        [(tmp_path / "x.npy", tmp_path / "items.csv")],
        image_root=settings.data,
        progress=False,
    )
    photo = f"{settings.data}/{run.items['path'][9]}"
    hits = found(embedder, [photo], imported)
    assert str(hits.table(0)["price"][0]) == "9"
    assert hits.warnings


@pytest.mark.parametrize(
    ("photos", "words"),
    [([], "give a photo"), (["no.jpg"], "no such image"), (["."], "a folder")],
)
def test_what_is_no_photo_is_refused(embedder, photos, words):
    with pytest.raises(UserError, match=words):
        read_queries(photos, embedder)


def test_what_is_no_gallery_is_refused(embedder, settings, vectors, tmp_path):
    photo = [f"{settings.data}/class 2/4.png"]
    for path, words in (
        (tmp_path / "no", "not there; make vectors of images first: `retrieval embed RUN"),
        (settings.data, f"make vectors first: `retrieval embed RUN --images {settings.data}"),
        (vectors.with_name("list.csv"), f"`retrieval embed RUN --images {vectors.parent}/list.csv"),
        (__file__, "no file of vectors"),
    ):
        with pytest.raises(UserError, match=re.escape(words)):
            found(embedder, photo, path)
    (tmp_path / "two.csv").write_text("a0,a1,b0,b1\n1,2,3,4\n")
    with pytest.raises(UserError, match=r"may be .*`retrieval import`") as caught:
        found(embedder, photo, tmp_path / "two.csv")
    assert "--columns" not in str(caught.value)
    out = tmp_path / "x.npy"
    np.save(out, np.zeros((3, 8), np.float32))
    (tmp_path / "x.items.csv").write_text("path\na.jpg\n")
    with pytest.raises(UserError, match="1 items for the 3 vectors"):
        found(embedder, photo, out)


def test_the_page_shows_every_hit_with_its_picture_and_needs_nothing_else(
    settings, embedder, vectors, tmp_path
):
    photo = f"{settings.data}/class 7/3.png"
    page = search_page(found(embedder, [photo], vectors, k=48))
    assert page.count("<img ") == 49  # the query, and all 48
    assert page.count("data:image/webp;base64,") == 49
    assert "<dt>price</dt><dd>67.5</dd>" in page
    assert "<dt>price</dt><dd>66.0</dd>" in page
    assert "<dt>added</dt><dd>2024-12-01</dd>" in page
    address = "https://example.org/a?b=1&amp;c=2"
    link = f'<a href="{address}" title="{address}" rel="noreferrer">example.org</a>'
    assert f"<dt>page</dt><dd>{link}</dd>" in page
    assert "prefers-color-scheme: dark" in page
    assert not re.search(r"<(script|link)|src=\"(?!data:)", page)
    moved = open_gallery(vectors)
    moved.items.loc[45, "path"] = "<b>gone</b>.png"
    hits = search(read_queries([photo], embedder), moved, embedder, k=1)
    write_search_page(hits, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "no picture" in page
    assert "<b>gone" not in page
    assert "&lt;b&gt;gone" in page


def test_a_finished_run_is_the_default_gallery_after_another_evaluation(embedder):
    assert len(gallery_for(embedder)) == len(open_run(embedder.path).items)


def test_a_run_says_that_it_is_half_of_the_photos_and_how_to_search_all(
    run, settings, embedder, vectors
):
    photo = f"{settings.data}/{run.items['path'][0]}"
    hits = found(embedder, [photo], k=2)
    note = hits.gallery.note
    assert "only the 24 images of the test split are searched, and not the 24 of the" in note
    command = f"retrieval embed {run.path} --images {run.dataset_config.root} --out all.parquet"
    assert command in note
    assert hits.as_json()["note"] == note
    assert "only the 24 images of the test split" in search_page(hits)
    assert found(embedder, [photo], vectors, k=2).gallery.note == ""  # all 48


def recorded_in(path, folder, names, width=8, **more):
    """Write vectors as somebody else may send them: any names, in any folder."""
    source = Source("r", "n", 1, width, "cosine", "16", None, "none", "plain", str(folder), **more)
    table = pa.table({"path": names, "embedding": [[1.0] * width] * len(names)})
    pq.write_table(table.replace_schema_metadata({KEY: source.to_json()}), path)
    return path


@pytest.fixture
def images(tmp_path):
    """A folder of images with links that lead out of it, and a secret beside it."""
    folder, secret = tmp_path / "images", tmp_path / "secret"
    for each in (folder, secret):
        each.mkdir()
        Image.new("RGB", (8, 8)).save(each / "a.png")
    (folder / "link.png").symlink_to(secret / "a.png")
    (folder / "linked").symlink_to(secret)
    return folder


@pytest.mark.parametrize("as_index", [False, True])
def test_no_picture_outside_of_the_image_folder_is_opened(images, tmp_path, as_index):
    secret = tmp_path / "secret/a.png"
    inside = ["a.png", str(images / "a.png")]
    outside = [str(secret), "../secret/a.png", "link.png", "linked/a.png", str(images / "link.png")]
    outside += [f"{images}/../secret/a.png", "", "/", "..", "a.png\0"]
    path = recorded_in(tmp_path / "x.parquet", images, [*inside, *outside])
    if as_index:
        write_index(open_gallery(path), tmp_path / "index")
        path = tmp_path / "index"
    for root in (None, images):
        gallery = open_gallery(path, image_root=root)
        opened = [gallery.image(row) for row in range(len(gallery))]
        assert opened[:2] == [images / "a.png"] * 2
        assert opened[len(inside) :] == [None] * len(outside)
    moved = open_gallery(path, image_root=tmp_path / "secret")
    assert moved.image(0) == secret
    with pytest.raises(UserError, match=r"--image-root .*no: no such folder"):
        open_gallery(path, image_root=tmp_path / "no")


@pytest.mark.parametrize("where", ["images", "linked_roots"])
@pytest.mark.parametrize("folder", ["/", "~", "~/..", "/../"])
def test_a_recorded_folder_that_holds_more_than_images_is_named_by_the_user(
    images, tmp_path, where, folder
):
    given = {"images": str(images), "linked_roots": [], where: os.path.expanduser(folder)}
    if where == "linked_roots":
        given[where] = [given[where]]
    vectors = tmp_path / "x.parquet"
    path = recorded_in(vectors, given["images"], ["a.png"], linked_roots=given["linked_roots"])
    gallery = open_gallery(path)
    assert gallery.image(0) is None
    assert "\n" not in gallery.note
    assert "name their folder with --image-root" in gallery.note
    assert open_gallery(path, image_root=images).image(0) == images / "a.png"


@pytest.mark.parametrize("folder", [5, ["/"], "a\0b", "\ud800"])
def test_a_recorded_folder_that_can_be_none_is_damage(tmp_path, folder):
    path = recorded_in(tmp_path / "x.parquet", "", ["a.png"])
    text = Source("r", "n", 1, 8, "cosine", "16", None, "none", "plain", folder).to_json()
    pq.write_table(pq.read_table(path).replace_schema_metadata({KEY: text}), path)
    with pytest.raises(UserError, match="embed the images again"):
        open_gallery(path)


def test_pictures_of_linked_classes_and_of_absolute_paths_are_found(run, settings, tmp_path):
    root = tmp_path / "photos"
    root.mkdir()
    (root / "class 0").symlink_to(Path(settings.data, "class 0").resolve())
    (tmp_path / "linked.csv").write_text("path\nclass 0/0.png\n")
    files = [str(Path(settings.data, f"class {c}/1.png").resolve()) for c in range(2)]
    (tmp_path / "absolute.csv").write_text("\n".join(["path", *files]) + "\n")
    for name, image_root in (("linked", root), ("absolute", None)):
        out = tmp_path / f"{name}.parquet"
        embed_to_file(
            run.path, tmp_path / f"{name}.csv", out, image_root=image_root, progress=False
        )
        gallery = open_gallery(out)
        assert not gallery.note
        assert all(gallery.image(row).is_file() for row in range(len(gallery)))
