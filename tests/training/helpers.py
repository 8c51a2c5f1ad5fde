"""A small network in a run folder."""

from pathlib import Path

import keras

from retrieval.embedding.network import build_network
from retrieval.files import write_json
from retrieval.runs.run import Run
from retrieval.runs.writing import write_config
from retrieval.settings.schema import TrainSettings

SETTINGS = TrainSettings(
    dataset="folder",
    loss="semi_hard_triplet",
    backbone="conv4",
    image_size=32,
    embedding_size=16,
    normalize=True,
)


def write_model(path: Path, settings: TrainSettings) -> Run:
    """Write the part of a run that holds its network."""
    keras.utils.set_random_seed(0)
    network = build_network(settings)
    step = path / "checkpoints" / "step-000001"
    step.mkdir(parents=True)
    network.save_weights(step / "model.weights.h5")
    write_json(path / "checkpoints" / "index.json", {"latest": 1})
    write_config(path, {"settings": settings.to_mapping()})
    return Run(path)
