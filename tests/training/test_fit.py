"""A run in training: evaluations on held-out items, early stopping, frozen parts, a live curve."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from retrieval import TrainSettings, load_catalog, open_run
from retrieval.datasets import DATASETS
from retrieval.embedding.embed import embed_images
from retrieval.embedding.network import build_network
from retrieval.errors import UserError
from retrieval.evaluation import kmeans
from retrieval.evaluation.search.search import empty_ranking
from retrieval.experiment.pipeline import train
from retrieval.settings.checks import check
from retrieval.settings.resolve import resolve
from retrieval.training.checkpoints import load_network, read_index, restore_checkpoint
from retrieval.training.data import prepare_data
from retrieval.training.fit import build_ranking_model
from tests.callbacks import Scores
from tests.datasets.helpers import write_classes
from tests.evaluation.oracle import evaluate_slowly

pytestmark = pytest.mark.usefixtures("two_blocks")


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_batch(tiny, tmp_path):
    settings = tiny.with_(learning_rate=1e30, optimizer="momentum", normalize=False,
                          loss="hard_triplet")  # fmt: skip
    with pytest.raises(UserError, match=r"the loss is (nan|inf)") as caught:
        train(settings, runs=tmp_path, progress=False)
    text = str(caught.value)
    assert "\n" not in text
    assert ".png: class" in text
    assert "last good checkpoint" in text
    assert not (tmp_path / "folder" / "hard_triplet").exists()


def test_metrics_of_held_out_items_are_in_the_history_at_their_steps(tiny, tmp_path):
    run = open_run(train(tiny.with_(eval_split="test"), runs=tmp_path, progress=False))
    taken = run.history.dropna(subset=["recall@1"])
    assert list(taken["step"]) == [8, 16, 24]
    assert {"recall@1", "recall@8", "map@r", "nmi", "spread", "learning_rate"} <= set(taken)
    final = run.result("leave_one_out").metric("recall@1").value
    assert taken["recall@1"].iloc[-1] == final


def test_items_with_roles_are_evaluated_from_query_to_gallery_in_training(
    tiny, tmp_path, monkeypatch
):
    for role, classes in (("train", "abc"), ("query", "defg"), ("gallery", "defg")):
        write_classes(tmp_path / role, dict.fromkeys(classes, 4), seed=1000 * len(role))
    searches = []
    monkeypatch.setattr(kmeans, "CHEAP", 0)  # k-means is seeded on neighbors, as at full size
    monkeypatch.setattr(  # every search begins with one
        "retrieval.evaluation.search.search.empty_ranking",
        lambda *given: searches.append(1) or empty_ranking(*given),
    )
    settings = tiny.with_(data=str(tmp_path), eval_split="test", steps=16)
    run = open_run(train(settings, runs=tmp_path / "runs", progress=False))
    assert len(searches) == 2 + 2  # one for each evaluation in training, two for the run's
    final = run.history.dropna(subset=["recall@1"]).iloc[-1]
    x, labels = np.asarray(run.embeddings), run.items["label"].to_numpy()
    roles = run.items["role"].to_numpy()
    assert set(roles) == {"query", "gallery"}
    values, *_ = evaluate_slowly(x, labels, roles, ks=(1, 2))
    assert final["recall@1"] == pytest.approx(values["recall@1"])
    assert final["recall@2"] == pytest.approx(values["recall@2"])
    assert final["map@r"] == pytest.approx(values["map@r"])
    alone, *_ = evaluate_slowly(x, labels, None, ks=(1, 2))
    assert alone["map@r"] != pytest.approx(values["map@r"])  # or the test would show nothing


def test_metrics_in_training_are_those_that_are_usual_for_the_data_set(tiny, tmp_path, monkeypatch):
    monkeypatch.setitem(DATASETS, "folder", replace(DATASETS["folder"], ks=(1, 3, 30)))
    settings = tiny.with_(eval_split="test", steps=8, monitor="recall@3", use_checkpoint="best")
    folder = train(settings, runs=tmp_path, evaluate=False, progress=False)
    history = pd.read_csv(folder / "history.csv")
    taken = history.dropna(subset=["recall@1"]).iloc[-1]
    assert [name for name in history if "@" in name] == [
        "recall@1", "recall@3", "recall@30", "map@r"]  # fmt: skip
    assert taken["recall@1"] <= taken["recall@3"] <= taken["recall@30"] == 1
    assert read_index(folder / "checkpoints")["best_value"] == taken["recall@3"]


def test_only_a_k_that_is_usual_for_the_data_set_can_be_monitored():
    check(TrainSettings(dataset="sop", eval_split="test", monitor="recall@100"))
    with pytest.raises(
        UserError, match=r"monitor.*'recall@20'.* recall@1, recall@2, .*recall@1000"
    ):
        check(TrainSettings(dataset="sop", eval_split="test", monitor="recall@20"))


def test_validation_classes_are_neither_trained_nor_tested_on(tiny):
    catalog = load_catalog("folder", tiny.data)
    settings = resolve(tiny.with_(eval_split="validation", validation_fraction=0.25), catalog)
    data = prepare_data(catalog, settings, progress=False)
    trained, held = set(data.train["label"]), set(data.held_out["label"])
    assert held
    assert not held & trained
    assert held | trained == set(catalog.split("train")["label"])


def test_a_validation_split_that_comes_with_the_data_is_held_out_as_it_is(tmp_path, tiny):
    for split, classes in (("train", "abc"), ("val", "de"), ("test", "fg")):
        write_classes(tmp_path / split, dict.fromkeys(classes, 4))
    catalog = load_catalog("folder", tmp_path)
    given = tiny.with_(data=str(tmp_path), classes_per_batch=3, eval_split="validation")
    data = prepare_data(catalog, resolve(given, catalog), progress=False)
    assert set(data.held_out["label_name"]) == {"d", "e"}
    assert set(data.train["label_name"]) == {"a", "b", "c"}
    data = prepare_data(catalog, resolve(given.with_(eval_split="none"), catalog), progress=False)
    assert set(data.train["label_name"]) == {"a", "b", "c"}
    with pytest.raises(UserError, match="--validation-fraction"):
        resolve(given.with_(validation_fraction=0.25), catalog)


def test_training_stops_without_improvement_and_the_best_checkpoint_is_used(tiny, tmp_path):
    changes = {"patience": 2, "use_checkpoint": "best", "monitor": "map@r"}
    settings = tiny.with_(steps=48, eval_split="test", **changes)
    scores = Scores([0.2, 0.9, 0.5, 0.4, 0.3, 0.2], metric="map@r")
    run = open_run(train(settings, runs=tmp_path, progress=False, callbacks=[scores]))
    assert run.selected_on == "test"
    assert run.history["step"].iloc[-1] == 32
    assert run.history["map@r"].dropna().tolist() == [0.2, 0.9, 0.5, 0.4]  # of the callback
    index = read_index(run.path / "checkpoints")
    assert (index["best"], index["latest"], index["best_value"]) == (16, 32, 0.9)
    assert sorted(p.name for p in (run.path / "checkpoints").glob("step-*")) == [
        "step-000016", "step-000032"]  # fmt: skip
    catalog = load_catalog("folder", tiny.data)
    network = build_network(resolve(settings, catalog))

    def embedded(which):
        load_network(run.path / "checkpoints", network, which)
        return embed_images(network, catalog, catalog.split("test"), settings, progress=False)

    np.testing.assert_array_equal(run.embeddings, embedded("best"))
    assert np.abs(run.embeddings - embedded("latest")).max() > 1e-3


def test_metrics_of_validation_classes_are_in_the_history(tiny, tmp_path):
    settings = tiny.with_(eval_split="validation", validation_fraction=0.25)
    path = train(settings, runs=tmp_path, evaluate=False, progress=False)
    taken = pd.read_csv(path / "history.csv").dropna(subset=["recall@1"])
    assert list(taken["step"]) == [8, 16, 24]
    assert taken[["recall@1", "map@r", "nmi"]].apply(lambda c: c.between(0, 1)).all(axis=None)


@pytest.mark.slow
def test_a_frozen_part_does_not_move(tiny, tmp_path):
    def backbone_after(**changes):
        settings = tiny.with_(steps=4, eval_every=4, **changes)
        path = train(settings, runs=tmp_path, overwrite=True, evaluate=False, progress=False)
        settings = resolve(settings, load_catalog("folder", tiny.data))
        network = build_network(settings)
        load_network(path / "checkpoints", network)
        return [w.numpy() for w in network.get_layer("backbone").trainable_variables]

    moved, frozen, scaled = (
        backbone_after(), backbone_after(freeze_steps=4), backbone_after(backbone_multiplier=0.0)
    )  # fmt: skip
    for a, b in zip(frozen, scaled, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-7)
    assert any(np.abs(a - b).max() > 1e-3 for a, b in zip(moved, frozen, strict=True))


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": "multi_similarity", "memory_batches": 2},
        {"loss": "arcface", "loss_multiplier": 10.0, "mixed_precision": True},
    ],
    ids=lambda c: "-".join(map(str, c.values())),
)
def test_weights_of_a_loss_are_trained_and_restored_with_the_model(tiny, tmp_path, changes):
    settings = tiny.with_(**changes)
    path = train(settings, runs=tmp_path, evaluate=False, progress=False)
    assert np.isfinite(pd.read_csv(path / "history.csv")["loss"]).all()
    catalog = load_catalog("folder", tiny.data)
    settings = resolve(settings, catalog)
    model = build_ranking_model(settings, prepare_data(catalog, settings, progress=False))
    own = model.loss_weights + model.loss_state
    assert own
    fresh = [np.array(v) for v in own]
    assert restore_checkpoint(path / "checkpoints", model) == settings.steps
    assert any(np.abs(a - np.array(v)).max() > 0 for a, v in zip(fresh, own, strict=True))


def test_a_watcher_is_shown_the_whole_history_at_the_end(tiny, tmp_path):
    seen = []
    path = train(tiny, runs=tmp_path, evaluate=False, progress=False, watch=seen.append)
    pd.testing.assert_frame_equal(seen[-1], pd.read_csv(path / "history.csv"), rtol=1e-6)
