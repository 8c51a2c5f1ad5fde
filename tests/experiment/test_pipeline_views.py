"""Embeddings averaged over views of an image at test time."""

import shutil

import numpy as np
import pytest

from retrieval import load_catalog, open_run
from retrieval.embedding.network import build_network, untrained_network
from retrieval.errors import UserError
from retrieval.experiment.pipeline import embed, train
from retrieval.input_pipeline.pipeline import eval_dataset
from retrieval.settings.checks import check
from retrieval.settings.recipes import load_recipe
from retrieval.settings.resolve import resolve
from retrieval.training.checkpoints import load_network
from tests.experiment.helpers import files_of


def mean_over_mirrors(path, settings, normalized: bool) -> np.ndarray:
    """Embed the center and its mirror image by hand."""
    catalog = load_catalog("folder", settings.data)
    settings = resolve(settings, catalog)
    if settings.loss == "none":
        network = untrained_network(settings)
    else:
        network = build_network(settings)
        load_network(path / "checkpoints", network)
    paths = catalog.absolute_paths(catalog.split("test"))
    data = eval_dataset(paths, size=settings.image_size, pre_crop=settings.pre_crop)
    images = np.concatenate([np.asarray(batch) for batch in data])
    views = [np.asarray(network(x, training=False)) for x in (images, images[:, :, ::-1])]
    mean = (views[0] + views[1]) / 2
    return mean / np.linalg.norm(mean, axis=1, keepdims=True) if normalized else mean


# The plain mean of a trained network is that of the test below.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("loss", "mean"), [("npairs_loss", "normalized"), ("none", "normalized"), ("none", "plain")]
)
def test_views_are_averaged_as_set_with_and_without_training(settings, tmp_path, loss, mean):
    settings = settings.with_(loss=loss, pre_crop=20, test_time="flip", test_time_mean=mean)
    run = open_run(train(settings, runs=tmp_path, progress=False))
    expected = mean_over_mirrors(run.path, settings, mean == "normalized")
    np.testing.assert_allclose(run.embeddings, expected, atol=1e-5)
    assert run.settings.test_time_mean == mean


def test_tall_images_are_trained_on_and_averaged_over_views(settings, tmp_path):
    settings = settings.with_(image_size="24x16", pre_crop=(28, 20), test_time="flip")
    run = open_run(train(settings, runs=tmp_path, progress=False))
    assert (run.settings.image_size, run.settings.pre_crop) == ("24x16", "28x20")
    assert "\n  image_size: 24x16\n" in run.config_text
    np.testing.assert_allclose(
        run.embeddings, mean_over_mirrors(run.path, settings, normalized=True), atol=1e-5
    )
    with pytest.warns(UserWarning, match=r"28x20 px.*24x16 px"):
        embed(run.path, test_time="average_pool", progress=False)


def test_other_views_of_a_second_embedding_are_recorded(settings, run, tmp_path):
    path = tmp_path / "folder" / "views"
    shutil.copytree(run.path, path)
    embed(path, test_time="flip", test_time_mean="plain", progress=False)
    again = open_run(path)
    stored = again.settings
    assert (stored.test_time, stored.test_time_mean) == ("flip", "plain")
    expected = mean_over_mirrors(path, settings, normalized=False)
    np.testing.assert_allclose(again.embeddings, expected, atol=1e-5)
    before = files_of(path)
    with pytest.raises(UserError, match=r"five_crop.* 16 px"):
        embed(path, test_time="five_crop", progress=False)
    assert files_of(path) == before
    embed(path, test_time="none", progress=False)
    np.testing.assert_array_equal(open_run(path).embeddings, run.embeddings)
    assert open_run(path).config_text == run.config_text


def test_views_without_effect_on_a_frozen_backbone_are_refused(settings, tmp_path):
    frozen = settings.with_(freeze_backbone=True)
    for changes in ({"flip": True}, {"test_time": "flip"}, {"augment": "crop"}):
        with pytest.raises(UserError, match="--freeze-backbone"):
            train(frozen.with_(**changes), runs=tmp_path, progress=False)
    run = open_run(train(frozen, runs=tmp_path, progress=False))
    assert run.settings.flip is False
    with pytest.raises(UserError, match=r"--test-time.*--freeze-backbone"):
        embed(run.path, test_time="flip", progress=False)
    recipe = load_recipe("cub200/npairs_loss").train_settings({"freeze_backbone": True})
    check(recipe)  # its flip was not the user's choice
