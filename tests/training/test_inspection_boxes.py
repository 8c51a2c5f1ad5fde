"""A run's crop boxes and views hold for its thumbnails, heat maps and new images as well."""

import io

import numpy as np
import pytest
from PIL import Image

from retrieval import TrainSettings, load_catalog, open_run
from retrieval.datasets.catalog import crop_boxes
from retrieval.datasets.placeholder import write_placeholder
from retrieval.experiment.pipeline import train
from retrieval.training.inspection import open_inspector
from tests.photos import write_colors
from workbench.data import network

pytestmark = pytest.mark.usefixtures("module_cache")


@pytest.fixture(scope="module")
def birds(tmp_path_factory):
    """A synthetic placeholder of CUB: four classes of three 60 x 40 px images, boxes 45 x 30 px."""
    root = write_colors(
        tmp_path_factory.mktemp("photos"), seed=0, scale=80, classes=4, each=3, size=(60, 40)
    )
    target = tmp_path_factory.mktemp("data") / "cub200"
    return write_placeholder("cub200", load_catalog("folder", root), target, classes=2, per_class=3)


def trained(birds, runs, **changes):
    settings = TrainSettings(
        dataset="cub200", data=str(birds), dataset_options={"boxes": True}, backbone="conv4",
        weights="none", image_size=16, pre_crop=20, embedding_size=8, classes_per_batch=2,
        samples_per_class=2, steps=2, loss="npairs_loss",
    )  # fmt: skip
    return open_run(train(settings.with_(**changes), runs=runs, progress=False))


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"test_time": "flip+five_crop", "test_time_mean": "plain"},
        {"test_time": "average_pool"},
        {"freeze_backbone": True},
        {"loss": "none", "test_time": "flip"},
    ],
    ids=["boxes", "and views", "and another resolution", "frozen", "untrained"],
)
@pytest.mark.filterwarnings("ignore:embedding at")
def test_an_image_is_embedded_again_as_it_was(birds, tmp_path, changes):
    run = trained(birds, tmp_path, **changes)
    boxes = crop_boxes(run.items)
    assert boxes.shape == (len(run.items), 4)
    paths = [birds / "CUB_200_2011" / path for path in run.items["path"]]
    inspector = open_inspector(run)
    np.testing.assert_allclose(inspector.embed_files(paths, boxes), run.embeddings, atol=1e-5)
    assert np.abs(inspector.embed_files(paths) - run.embeddings).max() > 1e-3


def test_thumbnails_and_heat_maps_show_what_the_network_saw(birds, tmp_path):
    run = trained(birds, tmp_path)
    for row in range(len(run.items)):
        thumbnail = Image.open(io.BytesIO(run.thumbnail(row)))
        assert thumbnail.size == tuple(run.items[["box_w", "box_h"]].iloc[row].astype(int))
    found = network.explain(run, 0, 2)
    unit = run.embeddings / np.linalg.norm(run.embeddings, axis=1, keepdims=True)
    assert found.similarity == pytest.approx(float(unit[0] @ unit[2]), abs=1e-4)
    assert found.images.shape == (2, 16, 16, 3)


def test_a_run_on_whole_images_has_no_boxes(birds, tmp_path):
    run = trained(birds, tmp_path, dataset_options={})
    assert crop_boxes(run.items) is None
    assert Image.open(io.BytesIO(run.thumbnail(0))).size == (60, 40)


def test_boxes_written_as_text_by_another_tool_are_not_used_as_crops(birds):
    items = load_catalog("cub200", birds, boxes=True).items
    assert crop_boxes(items) is not None
    assert crop_boxes(items.astype({"box_x": str})) is None
