"""Evaluations in training follow the official protocol: what it leaves out, and what it judges."""

import numpy as np
import pytest

from retrieval import TrainSettings, load_catalog, open_run
from retrieval.datasets.placeholder import write_placeholder
from retrieval.experiment.pipeline import train
from retrieval.training.fit import official_rules

pytestmark = pytest.mark.usefixtures("two_blocks")


@pytest.fixture(scope="module")
def source(shapes):
    return load_catalog("folder", shapes)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options", "protocol"),
    [
        ("market1501", {}, "query_gallery.same-class-and-camera"),
        ("gldv2", {"clean_train": True}, "query_gallery.private"),
    ],
)
def test_the_last_evaluation_in_training_is_that_of_the_run(
    source, tmp_path, name, options, protocol
):
    root = write_placeholder(name, source, tmp_path / "set", classes=4, per_class=6)
    settings = TrainSettings(
        dataset=name, data=str(root), dataset_options=options, loss="semi_hard_triplet",
        backbone="conv4", weights="none", image_size=16, embedding_size=4, classes_per_batch=3,
        samples_per_class=2, steps=4, eval_every=2, learning_rate=1e-2, eval_split="test",
    )  # fmt: skip
    run = open_run(train(settings, runs=tmp_path / "runs", progress=False))
    assert run.primary == protocol
    taken = run.history.dropna(subset=["recall@1"])
    for metric in ("recall@1", "map@r"):
        assert taken[metric].iloc[-1] == run.result().metric(metric).value
    assert run.result().protocol.rules != ""


def test_held_out_training_classes_have_junk_too_and_nothing_is_judged_for_them(source, tmp_path):
    market = load_catalog("market1501", write_placeholder("market1501", source, tmp_path / "m"))
    rows = market.split("train")
    rules = official_rules("market1501", market, rows)
    assert list(rules) == ["junk_same"]
    np.testing.assert_array_equal(rules["junk_same"]["camera"], rows["camera"])
    root = write_placeholder("gldv2", source, tmp_path / "g")
    judged = load_catalog("gldv2", root, clean_train=True, queries="all")
    assert official_rules("gldv2", judged, judged.split("train")) == {}
    assert list(official_rules("gldv2", judged, judged.split("test"))) == ["relevance"]
