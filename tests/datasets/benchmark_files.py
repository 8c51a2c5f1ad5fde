"""The published benchmarks, written here by hand in their own formats, at small size."""

import numpy as np
from scipy.io import savemat

from retrieval.datasets import cars196, cub200, inshop, stanford_online_products
from retrieval.datasets.official import Counts
from tests.datasets.helpers import write_photo


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
