"""The columns that the queries of a run can be sliced by."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from retrieval.errors import UserError
from retrieval.runs.columns import class_sizes, column_groups, columns_to_slice, image_sizes
from retrieval.runs.importing import import_files
from retrieval.runs.run import Run

CLASSES, EACH = 24, 4
N = CLASSES * EACH


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of 24 classes in two stores, with columns of every kind, and a few image files."""
    root = tmp_path_factory.mktemp("columns")
    labels = np.repeat(np.arange(CLASSES), EACH)
    stores = np.where(np.arange(N) % 2, "north", "south")
    names = [f"{'fruit' if label < 12 else 'carton'}/{label}" for label in labels]
    paths = [f"photos/{store}/{i}.png" for i, store in enumerate(stores)]
    items = pd.DataFrame({"path": paths, "label": labels, "label_name": names})
    items["super_name"] = [name.split("/")[0] for name in names]
    items["super_label"] = (labels < 12).astype(int)
    items["role"] = np.where(np.arange(N) % EACH == 0, "query", "gallery")
    items.to_csv(root / "items.csv", index=False)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((CLASSES, 8))[labels] + rng.standard_normal((N, 8))
    np.save(root / "x.npy", x.astype(np.float32))
    for folder in ("north", "south"):
        (root / "photos" / folder).mkdir(parents=True)
    for i in range(0, N, EACH):
        image = Image.new("RGB", (30, 20))
        exif = image.getexif()
        exif[0x0112] = 6 if i % (2 * EACH) else 1  # every second one lies on its side
        image.save(root / paths[i], exif=exif)
    with pytest.MonkeyPatch.context() as patch:  # compiling UMAP takes longer than all the rest
        patch.setattr(
            "retrieval.runs.evaluate.project", lambda x, *_, **__: pd.DataFrame(index=range(len(x)))
        )
        path = import_files(
            root / "runs" / "d" / "r",
            [(root / "x.npy", root / "items.csv")],
            image_root=root,
            progress=False,
        )
    own = pd.read_parquet(path / "items.parquet")
    own["price"] = np.linspace(0.5, 9.5, N)
    own["bought"] = pd.date_range("2021-01-01", periods=N, freq="D")
    own["barcode"] = [f"code {i}" for i in range(N)]
    own["country"] = "Sweden"
    own.to_parquet(path / "items.parquet")
    return Run(path)


def members(run, by, protocol="leave_one_out", bins=None):
    groups = column_groups(run, by, protocol, bins)
    return {name: int((groups.codes == i).sum()) for i, name in enumerate(groups.names)}


def test_columns_of_every_kind_are_listed_and_others_named_with_the_reason(run):
    found, refused = columns_to_slice(run, "leave_one_out")
    assert {"class_group", "folder_2", "super_name", "price", "bought", "role"} <= set(found)
    assert {"image_width", "image_height", "image_megapixels", "image_aspect"} <= set(found)
    assert not {"path", "item", "label", "label_name", "folder_1"} & set(found)
    assert {"country", "barcode", "class_size", "split"} <= set(refused)
    for name, reason in refused.items():
        assert name in reason


def test_slices_by_folder_class_group_and_own_columns(run):
    assert members(run, "folder_2") == {"north": N // 2, "south": N // 2}
    assert members(run, "class_group") == {"carton": N // 2, "fruit": N // 2}
    assert list(members(run, "price", bins=3).values()) == [N // 3] * 3
    assert sum(members(run, "bought").values()) == N


def test_only_the_queries_of_the_protocol_are_sliced(run):
    assert sum(members(run, "super_name", "query_gallery").values()) == CLASSES
    with pytest.raises(UserError, match="role"):  # all are queries
        column_groups(run, "role", "query_gallery")


def test_the_size_of_a_class_is_that_in_the_gallery(run):
    assert set(class_sizes(run, "leave_one_out")) == {EACH}
    assert set(class_sizes(run, "query_gallery")) == {EACH - 1}


def test_images_have_the_size_in_which_they_are_shown(run):
    sizes = image_sizes(run, np.array([0, EACH, 1]))
    assert sizes[:2].tolist() == [[30, 20], [20, 30]]
    assert np.isnan(sizes[2]).all()  # no such file
    assert members(run, "image_width", "query_gallery") == {"20": 12, "30": 12}
    assert members(run, "image_aspect") == {"0.6667": 12, "1.5": 12, "(none)": N - CLASSES}


def test_a_misspelled_column_names_the_closest(run):
    with pytest.raises(UserError, match="did you mean 'super_name'"):
        column_groups(run, "super_nam")


def test_images_that_are_gone_are_named_with_their_folder(run, monkeypatch):
    monkeypatch.setattr(
        "retrieval.runs.columns.image_sizes", lambda run, rows: np.full((len(rows), 2), np.nan)
    )
    with pytest.raises(UserError, match="image_width"):
        column_groups(run, "image_width")
