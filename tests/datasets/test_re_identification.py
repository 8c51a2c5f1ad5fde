"""Market-1501 and VeRi-776: ids, cameras, roles, junk and distractors, and the official counts."""

import numpy as np
import pytest

from retrieval.datasets import DATASETS, load_catalog, market1501, veri776
from retrieval.datasets.official import Counts
from retrieval.datasets.placeholder import write_placeholder
from retrieval.errors import UserError
from retrieval.runs.evaluate import evaluate_folder
from retrieval.runs.run import Run
from retrieval.runs.writing import run_config, write_config, write_embeddings
from tests.datasets.helpers import write_photo

MARKET = {
    "bounding_box_train/0002_c1s1_000451_03.jpg",
    "bounding_box_train/0002_c2s1_000500_01.jpg",
    "query/0001_c1s1_001051_00.jpg",
    "bounding_box_test/0001_c1s1_001051_01.jpg",
    "bounding_box_test/0001_c3s2_001100_01.jpg",
    "bounding_box_test/0000_c1s1_000151_01.jpg",
    "bounding_box_test/0000_c4s6_000151_02.jpg",
    "bounding_box_test/-1_c2s1_000301_01.jpg",
}


@pytest.fixture
def market(tmp_path, monkeypatch):
    monkeypatch.setattr(market1501, "COUNTS", Counts(2, 5, 1, 2, queries=1))
    for number, path in enumerate(sorted(MARKET)):
        write_photo(tmp_path / "set" / "Market-1501-v15.09.15" / path, seed=number)
    return tmp_path / "set"


def test_junk_is_no_item_and_every_distractor_is_a_class_of_its_own(market):
    items = load_catalog("market1501", market).items.set_index("path")
    assert set(items.index) == {path for path in MARKET if "-1_c" not in path}
    assert items.loc["query/0001_c1s1_001051_00.jpg", "role"] == "query"
    assert items["camera"]["bounding_box_test/0001_c3s2_001100_01.jpg"] == 3
    assert items["sequence"]["bounding_box_test/0001_c3s2_001100_01.jpg"] == "c3s2"
    test = items[items["split"] == "test"]
    assert sorted(test["label"].value_counts()) == [1, 1, 3]
    assert set(test["role"]) == {"query", "gallery"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda base: (base / "query/0001_c1s1_001051_00.jpg").unlink(), "1 file missing"),
        (lambda base: write_photo(base / "query/0001_c2s1_000001_00.jpg"), "not the official"),
        (lambda base: write_photo(base / "query/0001_c9s1_000001_00.jpg"), "is not named as"),
    ],
)
def test_images_that_are_not_the_official_ones_are_refused(market, change, words):
    change(market / "Market-1501-v15.09.15")
    with pytest.raises(UserError, match=words):
        load_catalog("market1501", market)


def test_veri_is_read_from_its_lists(tmp_path, monkeypatch):
    monkeypatch.setattr(veri776, "COUNTS", Counts(2, 3, 1, 1, queries=1))
    lists = {
        "train": ["0001_c001_00016450_0.jpg", "0001_c002_00016460_0.jpg"],
        "query": ["0002_c002_00030600_0.jpg"],
        "test": ["0002_c002_00030600_0.jpg", "0002_c020_00030700_1.jpg"],
    }
    for part, names in lists.items():
        for number, name in enumerate(names):
            write_photo(tmp_path / f"image_{part}" / name, seed=number)
        (tmp_path / f"name_{part}.txt").write_text("\n".join(names) + "\n")
    for _ in range(2):  # from the cache too
        items = load_catalog("veri776", tmp_path).items
        assert items["camera"].tolist() == [1, 2, 2, 2, 20]
        assert items["label"].tolist() == [1, 1, 2, 2, 2]
        assert items["role"].tolist() == ["both", "both", "query", "gallery", "gallery"]
    (tmp_path / "name_test.txt").write_text("0002_c002_00030600_0.jpg\n2_c20.jpg\n")
    with pytest.raises(UserError, match=r"name_test.txt row 2: '2_c20.jpg'"):
        load_catalog("veri776", tmp_path)


@pytest.mark.parametrize(
    ("module", "images", "classes", "queries"),
    [(market1501, (12936, 19281), (751, 751), 3368), (veri776, (37778, 13257), (576, 200), 1678)],
)
def test_published_counts(module, images, classes, queries):
    counts = module.COUNTS
    assert (counts.train_images, counts.test_images) == images
    assert (counts.train_classes, counts.test_classes) == classes
    assert counts.queries == queries


@pytest.mark.parametrize("name", ["market1501", "veri776"])
def test_a_run_is_evaluated_by_the_official_protocol(name, photos, tmp_path):
    catalog = load_catalog(name, write_placeholder(name, photos, tmp_path / name))
    rows = catalog.split("test")
    folder = tmp_path / name / "run"
    folder.mkdir()
    rng = np.random.default_rng(0)
    write_embeddings(folder, rng.standard_normal((len(rows), 4)), rows)
    evaluate_folder(folder, catalog, "cosine", images=False, progress=False)
    write_config(folder, run_config(None, catalog, {}))
    run = Run(folder)
    assert run.primary == "query_gallery.same-class-and-camera"
    assert run.result(run.primary).protocol.n_excluded > 0
    assert set(DATASETS[name].metrics) <= set(run.result(run.primary).metrics)
