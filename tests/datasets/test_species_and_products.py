"""iNaturalist 2018 and RP2K: the class-disjoint splits of the retrieval literature."""

import json

import pytest

from retrieval.datasets import inaturalist2018, load_catalog, rp2k
from retrieval.datasets.official import Counts
from retrieval.errors import UserError
from tests.datasets.helpers import write_photo

SPECIES = {
    "train": ["train_val2018/Aves/2761/a.jpg", "train_val2018/Plantae/30/b.jpg"],
    "test": ["train_val2018/Plantae/7/c.jpg", "train_val2018/Plantae/7/d.jpg"],
}


@pytest.mark.parametrize("place", ["Inat_dataset_splits/", ""])
def test_species_are_the_folders_and_their_groups_super_classes(tmp_path, monkeypatch, place):
    monkeypatch.setattr(inaturalist2018, "COUNTS", Counts(2, 2, 2, 1))
    for split, paths in SPECIES.items():
        for number, path in enumerate(paths):
            write_photo(tmp_path / path, seed=number + 5 * len(split))
        listed = tmp_path / place / f"Inaturalist_{split}_set1.txt"
        listed.parent.mkdir(exist_ok=True)
        listed.write_text("\n".join(paths) + "\n")
    for _ in range(2):  # from the cache too
        items = load_catalog("inaturalist2018", tmp_path).items
        assert items["label"].tolist() == [2761, 30, 7, 7]
        assert items["super_name"].tolist() == ["Aves", "Plantae", "Plantae", "Plantae"]
        assert items["split"].tolist() == ["train", "train", "test", "test"]
    listed.write_text("train_val2018/Plantae/7/c.jpg\nPlantae/seven/d.jpg\n")
    with pytest.raises(UserError, match=r"test_set1.txt row 2: 'Plantae/seven/d.jpg' is not"):
        load_catalog("inaturalist2018", tmp_path)


def test_published_counts():
    counts = inaturalist2018.COUNTS
    assert (counts.train_images, counts.test_images) == (325_846, 136_093)
    assert (counts.train_classes, counts.test_classes) == (5_690, 2_452)
    assert counts.images == 437_513 + 24_426  # all of the train and validation images of 2018
    assert list(rp2k.IMAGES.values()) == [188_724, 17_185, 10_931]


PRODUCTS = {
    "train": ["rp2k/all/train/tea/1.jpg", "rp2k/all/train/tea/2.jpg"],
    "val": ["rp2k/all/train/oil/1.jpg", "rp2k/all/train/oil/2.jpg"],
    "test": ["rp2k/all/test/牛奶/1.jpg", "rp2k/all/test/牛奶/2.jpg"],
}


@pytest.fixture
def products(tmp_path, monkeypatch):
    monkeypatch.setattr(rp2k, "IMAGES", {"train": 2, "validation": 2, "test": 2})
    monkeypatch.setattr(rp2k, "TRAIN_CLASSES", 1)
    for part, paths in PRODUCTS.items():
        for number, path in enumerate(paths):
            write_photo(tmp_path / path.removeprefix("rp2k/"), seed=number + 5 * len(part))
        (tmp_path / f"{part}.json").write_text(
            json.dumps([{"path": path, "class_id": 0} for path in paths])
        )
    return tmp_path


def test_products_are_the_folders_and_validation_is_a_split_of_its_own(products):
    items = load_catalog("rp2k", products).items
    assert items["label_name"].tolist() == ["tea", "tea", "oil", "oil", "牛奶", "牛奶"]
    assert items["split"].tolist() == ["train"] * 2 + ["validation"] * 2 + ["test"] * 2


def test_names_that_unzip_could_not_write_are_found(products):
    (products / "all/test/牛奶").rename(products / "all/test/#U725b#U5976")
    assert load_catalog("rp2k", products).items["path"].iloc[-1] == "all/test/#U725b#U5976/2.jpg"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{}", "is not a list"),
        ("[", "not JSON"),
        ('[{"class_id": 1}]', "entry 0: has no path"),
        ("[]", "expected 2 / 2 / 2 .* found 2 / 2 / 0"),
    ],
)
def test_lists_that_are_not_those_of_uned_are_refused(products, content, words):
    (products / "test.json").write_text(content)
    with pytest.raises(UserError, match=words):
        load_catalog("rp2k", products)
