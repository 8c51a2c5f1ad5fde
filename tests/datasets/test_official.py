"""The published benchmarks, written here by hand in their own formats, at small size."""

import time

import numpy as np
import pandas as pd
import pytest
from scipy.io import savemat

from retrieval.datasets import (
    cars196,
    cub200,
    inshop,
    load_catalog,
    official,
    stanford_online_products,
)
from retrieval.datasets.official import Counts
from retrieval.errors import UserError
from tests.datasets.conftest import write_photo


def write_cub(root, monkeypatch):
    monkeypatch.setattr(cub200, "COUNTS", Counts(2, 3, 1, 2))
    base = root / "CUB_200_2011"
    images = [
        "001.Black_footed_Albatross/Black_Footed_Albatross_0046_18.jpg",
        "001.Black_footed_Albatross/Black_Footed_Albatross_0009_34.jpg",
        "002.Laysan_Albatross/Laysan_Albatross_0002_1027.jpg",
        "002.Laysan_Albatross/Laysan_Albatross_0003_1033.jpg",
        "003.Sooty_Albatross/Sooty_Albatross_0040_796375.jpg",
    ]
    for number, image in enumerate(images):
        write_photo(base / "images" / image, seed=number)
    write = lambda name, text: (base / name).write_text(text)  # noqa: E731
    write("images.txt", "".join(f"{n} {p}\n" for n, p in enumerate(images, 1)))
    write("image_class_labels.txt", "1 1\n2 1\n3 2\n4 2\n5 3\n")
    write(
        "classes.txt",
        "1 001.Black_footed_Albatross\n2 002.Laysan_Albatross\n3 003.Sooty_Albatross\n",
    )
    write("bounding_boxes.txt", "".join(f"{n} {n}.0 2.0 10.0 12.0\n" for n in range(1, 6)))
    write("train_test_split.txt", "1 0\n2 1\n3 0\n4 1\n5 1\n")
    return root


def write_sop(root, monkeypatch):
    monkeypatch.setattr(stanford_online_products, "COUNTS", Counts(2, 2, 1, 1))
    base = root / "Stanford_Online_Products"
    header = "image_id class_id super_class_id path\n"
    rows = {
        "train": "1 1 1 bicycle_final/111085122871_0.JPG\n2 1 1 bicycle_final/111085122871_1.JPG\n",
        "test": "3 2 4 coffee_maker_final/12_0.JPG\n4 2 4 coffee_maker_final/12_1.JPG\n",
    }
    for split, text in rows.items():
        for row in text.splitlines():
            write_photo(base / row.split()[3], seed=int(row.split()[0]), format="JPEG")
        (base / f"Ebay_{split}.txt").write_text(header + text)
    return root


def write_inshop(root, monkeypatch):
    monkeypatch.setattr(inshop, "COUNTS", Counts(2, 3, 1, 1, queries=1))
    rows = [
        ("img/WOMEN/Dresses/id_00000002/02_1_front.jpg", "id_00000002", "train"),
        ("img/WOMEN/Dresses/id_00000002/02_2_side.jpg", "id_00000002", "train"),
        ("img/MEN/Tees_Tanks/id_00000007/01_1_front.jpg", "id_00000007", "query"),
        ("img/MEN/Tees_Tanks/id_00000007/01_2_side.jpg", "id_00000007", "gallery"),
        ("img/MEN/Tees_Tanks/id_00000007/01_3_back.jpg", "id_00000007", "gallery"),
    ]
    for number, (image, _, _) in enumerate(rows):
        write_photo(root / image, seed=number)
    lines = [f"{image:<60} {item}      {status}" for image, item, status in rows]
    text = "\n".join(["5", "image_name item_id evaluation_status", *lines, ""])
    (root / "Eval").mkdir()
    (root / "Eval/list_eval_partition.txt").write_text(text)
    return root


def write_cars(root, monkeypatch):
    monkeypatch.setattr(cars196, "COUNTS", Counts(2, 2, 1, 1))
    fields = ("relative_im_path", "bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "test")
    rows = [(f"car_ims/{n:06d}.jpg", n, 2, 12, 14, 1 + (n > 2), n % 2) for n in range(1, 5)]
    annotations = np.empty((1, 4), [(field, object) for field in fields])
    for number, row in enumerate(rows):
        write_photo(root / row[0], seed=number)
        annotations[0, number] = row
    names = np.empty((1, 2), object)
    names[0, :] = ["AM General Hummer SUV 2000", "Acura RL Sedan 2012"]
    savemat(root / "cars_annos.mat", {"annotations": annotations, "class_names": names})
    return root


MODULES = {
    "cub200": cub200,
    "sop": stanford_online_products,
    "inshop": inshop,
    "cars196": cars196,
}
PUBLISHED = {name: module.COUNTS for name, module in MODULES.items()}
BENCHMARKS = {"cub200": write_cub, "sop": write_sop, "inshop": write_inshop, "cars196": write_cars}
LISTS = {
    "cub200": "CUB_200_2011/images.txt",
    "sop": "Stanford_Online_Products/Ebay_test.txt",
    "inshop": "Eval/list_eval_partition.txt",
    "cars196": "cars_annos.mat",
}


@pytest.fixture(params=sorted(BENCHMARKS))
def benchmark(request, tmp_path, monkeypatch):
    return request.param, BENCHMARKS[request.param](tmp_path / "set", monkeypatch)


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
    catalog = load_catalog("inshop", root)
    items = catalog.items
    assert items["role"].tolist() == ["both", "both", "query", "gallery", "gallery"]
    assert items["label"].tolist() == [2, 2, 7, 7, 7]
    assert items["super_name"].tolist() == ["WOMEN Dresses"] * 2 + ["MEN Tees Tanks"] * 3
    assert catalog.has_roles()


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
    with pytest.raises(UserError, match=rf"{LISTS[name].rsplit('/')[-1]} is missing; give"):
        load_catalog(name, root)


def test_a_damaged_list_is_named(benchmark):
    name, root = benchmark
    (root / LISTS[name]).write_text("5\nheader\n1 2 3 4 5 6 7\nnot a list")
    with pytest.raises(UserError, match=LISTS[name].rsplit("/")[-1]) as error:
        load_catalog(name, root)
    assert "\n" not in str(error.value)


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


def test_an_image_that_no_list_gives_a_class_is_named(tmp_path, monkeypatch):
    root = write_cub(tmp_path / "set", monkeypatch)
    (root / "CUB_200_2011/image_class_labels.txt").write_text("1 1\n2 1\n3 2\n4 2\n")
    with pytest.raises(UserError, match=r"image 5 \(003\.Sooty.* is not in all lists"):
        load_catalog("cub200", root)


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


@pytest.mark.parametrize("name", ["cars196", "inshop"])
def test_where_no_download_exists_the_manual_steps_are_told(name, tmp_path):
    with pytest.raises(UserError, match=rf"then `mkdir -p data/{name}") as error:
        load_catalog(name, tmp_path / name)
    assert "\n" not in str(error.value)
