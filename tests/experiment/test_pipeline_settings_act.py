"""Each setting has the effect that its help text states."""

from dataclasses import replace

import numpy as np
import pytest

from retrieval import load_catalog
from retrieval.embedding.network import build_network
from retrieval.experiment.pipeline import train
from retrieval.models import BACKBONES, build_backbone
from retrieval.settings.resolve import resolve
from retrieval.training.checkpoints import load_network


def network_after(settings, tmp_path, **changes) -> list:
    """Train; return the network of the latest checkpoint."""
    settings = settings.with_(**changes)
    path = train(settings, runs=tmp_path, name="x", overwrite=True, evaluate=False, progress=False)
    network = build_network(resolve(settings, load_catalog("folder", settings.data)))
    load_network(path / "checkpoints", network)
    return network


def parts(network) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the trainable weights of backbone and head."""
    return tuple(
        [np.array(v) for v in network.get_layer(name).trainable_variables]
        for name in ("backbone", "head")
    )


def distance(one: list[np.ndarray], other: list[np.ndarray]) -> float:
    return max(np.abs(a - b).max() for a, b in zip(one, other, strict=True))


@pytest.mark.slow
def test_multipliers_and_held_steps_act_on_the_backbone_alone(settings, tmp_path):
    adamw = {"optimizer": "adamw", "weight_decay": 0.5, "steps": 3}
    start = parts(network_after(settings, tmp_path, **adamw | {"learning_rate": 1e-12}))
    for changes in ({"backbone_multiplier": 0.0}, {"freeze_steps": 3}):
        backbone, head = parts(network_after(settings, tmp_path, **adamw, **changes))
        # Weight decay must not move a held backbone either.
        assert distance(backbone, start[0]) < 1e-6
        assert distance(head, start[1]) > 1e-3
    backbone, _ = parts(network_after(settings, tmp_path, **adamw, freeze_steps=2))
    # Adam's first step of a part that opens late is no larger than its others.
    assert 1e-3 < distance(backbone, start[0]) < 2 * settings.learning_rate


def test_batch_norms_of_a_pretrained_backbone_are_fixed_unless_asked_otherwise(
    settings, tmp_path, monkeypatch
):
    monkeypatch.setitem(BACKBONES, "conv4", replace(BACKBONES["conv4"], pretrained=True))
    weights = tmp_path / "pretrained.weights.h5"
    build_backbone("conv4", settings.image_size, weights=None).save_weights(weights)
    settings = settings.with_(weights=str(weights))

    def statistics(**changes):
        network = network_after(settings, tmp_path, **changes)
        return {
            v.path: np.array(v)
            for v in network.get_layer("backbone").variables
            if "moving" in v.path
        }

    held, free = statistics(), statistics(freeze_batch_norm=False)
    assert held
    for (path, a), b in zip(held.items(), free.values(), strict=True):
        assert np.abs(a - ("variance" in path)).max() == 0
        assert np.abs(a - b).max() > 0


def test_metrics_during_training_are_logged_to_tensorboard(settings, tmp_path):
    path = train(
        settings.with_(tensorboard=True, eval_split="test"), runs=tmp_path, evaluate=False,
        progress=False,
    )  # fmt: skip
    events = b"".join(p.read_bytes() for p in path.rglob("events.out.tfevents*"))
    for name in (b"epoch_loss", b"epoch_recall@1", b"epoch_learning_rate"):
        assert name in events


@pytest.mark.slow
def test_another_seed_gives_other_batches_and_the_same_seed_the_same(settings, run, tmp_path):
    def losses(seed):
        path = train(settings.with_(seed=seed), runs=tmp_path, evaluate=False, progress=False)
        return (path / "history.csv").read_text()

    of_seed_0 = (run.path / "history.csv").read_text()
    assert losses(0) == of_seed_0
    assert losses(1) != of_seed_0
