"""What each published benchmark is read as: splits, names, super-classes, boxes, roles."""

import pytest

from retrieval.datasets import cars196, cub200, inshop, load_catalog, stanford_online_products
from retrieval.errors import UserError
from tests.datasets.benchmark_files import write_cars, write_cub, write_inshop, write_sop


def test_cub_splits_by_class_and_not_by_its_classification_split(tmp_path, monkeypatch):
    catalog = load_catalog("cub200", write_cub(tmp_path / "set", monkeypatch))
    items = catalog.items
    assert items["label"].tolist() == [1, 1, 2, 2, 3]
    assert items["split"].tolist() == ["train"] * 2 + ["test"] * 3
    assert items["label_name"].tolist()[0] == "Black footed Albatross"
    assert items["path"][0].startswith("images/001.Black")
    assert "box_x" not in items


def test_cub_boxes_are_pixels_from_the_top_left(tmp_path, monkeypatch):
    root = write_cub(tmp_path / "set", monkeypatch)
    items = load_catalog("cub200", root, boxes=True).items
    assert items.loc[2, ["box_x", "box_y", "box_w", "box_h"]].tolist() == [3, 2, 10, 12]


def test_cars_boxes_turn_corners_that_count_from_one_into_extents(tmp_path, monkeypatch):
    items = load_catalog("cars196", write_cars(tmp_path / "set", monkeypatch), boxes=True).items
    assert items.loc[2, ["box_x", "box_y", "box_w", "box_h"]].tolist() == [2, 1, 10, 13]


def test_cars_split_by_class(tmp_path, monkeypatch):
    items = load_catalog("cars196", write_cars(tmp_path / "set", monkeypatch)).items
    assert items["path"].tolist()[3] == "car_ims/000004.jpg"
    assert items["label_name"].tolist()[3] == "Acura RL Sedan 2012"
    assert items["split"].tolist() == ["train", "train", "test", "test"]


def test_sop_has_its_kinds_of_product_as_super_classes(tmp_path, monkeypatch):
    items = load_catalog("sop", write_sop(tmp_path / "set", monkeypatch)).items
    assert items["super_name"].tolist() == ["bicycle"] * 2 + ["coffee maker"] * 2
    assert items["super_label"].tolist() == [1, 1, 4, 4]
    assert items["label_name"].tolist()[2] == "coffee maker 2"
    assert items["split"].tolist() == ["train"] * 2 + ["test"] * 2


@pytest.mark.parametrize("place", ["Eval/", ""])
def test_inshop_has_roles_and_categories(tmp_path, monkeypatch, place):
    root = write_inshop(tmp_path / "set", monkeypatch)
    if not place:
        name = "list_eval_partition.txt"
        (root / "Eval" / name).rename(root / name)
    items = load_catalog("inshop", root).items
    assert items["role"].tolist() == ["both", "both", "query", "gallery", "gallery"]
    assert items["label"].tolist() == [2, 2, 7, 7, 7]
    assert items["super_name"].tolist() == ["WOMEN Dresses"] * 2 + ["MEN Tees Tanks"] * 3


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("5\nimage", "6\nimage", "line 1 says 6 rows, found 5"),
        ("query", "qery", "row 5: status 'qery': valid: train, query, gallery"),
        ("  id_00000007      query", "  x7      query", "row 5: .* is not `img/SECTION"),
        ("      query", "", "list_eval_partition"),
    ],
)
def test_inshops_list_is_checked_row_by_row(tmp_path, monkeypatch, old, new, words):
    root = write_inshop(tmp_path / "set", monkeypatch)
    path = root / "Eval/list_eval_partition.txt"
    text = path.read_text()
    changed = text.replace(old, new)
    assert changed != text
    path.write_text(changed)
    with pytest.raises(UserError, match=words):
        load_catalog("inshop", root)


@pytest.mark.parametrize(
    ("module", "images", "classes"),
    [
        (cub200, (5864, 5924), (100, 100)),
        (cars196, (8054, 8131), (98, 98)),
        (stanford_online_products, (59551, 60502), (11318, 11316)),
        (inshop, (25882, 14218 + 12612), (3997, 3985)),
    ],
)
def test_published_counts(module, images, classes):
    counts = module.COUNTS
    assert (counts.train_images, counts.test_images) == images
    assert (counts.train_classes, counts.test_classes) == classes
