"""The time of a training is measured over a few of its own steps, once per machine."""

import pytest

from retrieval import TrainSettings, load_catalog
from retrieval.models import conv4
from retrieval.settings.resolve import resolve
from retrieval.training import step_time as module
from retrieval.training.step_time import StepTime, feature_seconds, step_time
from tests.photos import write_colors


@pytest.fixture(autouse=True)
def _quick(monkeypatch, tmp_path):
    monkeypatch.setenv("RETRIEVAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(conv4, "WIDTHS", (8, conv4.WIDTHS[-1]))


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    root = write_colors(tmp_path_factory.mktemp("images"), seed=1, scale=40)
    return TrainSettings(
        dataset="folder", data=str(root), backbone="conv4", weights="none", image_size=16,
        classes_per_batch=3, samples_per_class=4, steps=1000, loss="npairs_loss",
    )  # fmt: skip


def test_a_training_is_measured_once_and_multiplied_up(settings, monkeypatch):
    catalog = load_catalog("folder", settings.data)
    monkeypatch.setattr(module, "IMAGES", 4)
    found = step_time(settings, catalog)
    assert found.images == 8  # two classes, so that there is a negative
    assert found.of_step(settings) == pytest.approx(found.step * 12 / 8)
    assert found.of_training(settings) == pytest.approx(1000 * found.of_step(settings))
    assert "CPU" in found.device or "GPU" in found.device
    monkeypatch.delattr(module, "_measure")
    assert step_time(settings.with_(steps=5, loss="hard_triplet", seed=3), catalog) == found


def test_what_changes_a_step_is_measured_anew(settings, monkeypatch):
    catalog, measured = load_catalog("folder", settings.data), []
    monkeypatch.setattr(module, "_measure", lambda *given: measured.append(given) or (8, 0.1))
    for changes in ({}, {"lora_rank": 2}, {"lora_rank": 2, "lora_layers": "fc*"}, {"lora_rank": 2}):
        step_time(settings.with_(**changes), catalog)
    assert len(measured) == 3


def test_a_frozen_backbone_takes_its_time_once(settings):
    catalog = load_catalog("folder", settings.data)
    frozen = settings.with_(freeze_backbone=True)
    found = step_time(frozen, catalog)
    assert found.embedding > 0
    assert found.images == 12  # the whole batch of features
    wanted = found.embedding * len(catalog)
    assert feature_seconds(found, resolve(frozen, catalog), catalog) == pytest.approx(wanted)


def test_only_a_frozen_backbone_extracts_features(settings):
    catalog = load_catalog("folder", settings.data)
    found = StepTime(images=8, step=0.1, embedding=0.5, device="CPU", measured="2026-01-01")
    assert feature_seconds(found, resolve(settings, catalog), catalog) == 0
