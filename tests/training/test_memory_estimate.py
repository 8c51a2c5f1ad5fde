"""The estimated memory against measured peaks."""

import pytest
import tensorflow as tf

from retrieval import TrainSettings
from retrieval.training.memory_check import GIB
from retrieval.training.memory_estimate import dry_run, estimate_training_memory, peak_bytes

# Peaks of a training step, GiB, as benchmarks/memory.py measured them: batch, chunk, peak.
MEASURED = {
    "inception_v1": ((120, 0, 4.6), (120, 20, 1.0), (20, 0, 1.1)),
    "densenet169": ((60, 0, 10.0), (60, 20, 4.9), (20, 0, 4.6)),
}


def whole(backbone, **changes):
    """Resolved settings of a whole network, batch norms in training mode as when measured."""
    common = {"normalize": True, "freeze_batch_norm": False, "image_size": 224}
    batch = {"classes_per_batch": 20, "samples_per_class": 1}
    return TrainSettings(backbone=backbone, **common | batch | changes)


@pytest.mark.slow
@pytest.mark.parametrize("backbone", MEASURED)
def test_the_estimate_is_within_a_third_of_the_measured_peak(backbone):
    footprint = dry_run(whole(backbone))
    for batch, chunk, measured in MEASURED[backbone]:
        settings = whole(backbone, classes_per_batch=batch, chunk_size=chunk)
        estimate = footprint.total(settings) / GIB
        assert estimate == pytest.approx(measured, rel=0.35), (batch, chunk)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "less"),
    [
        ({"classes_per_batch": 21}, {}),
        ({"image_size": 96}, {}),
        ({}, {"chunk_size": 10}),
        ({"chunk_size": 6}, {"chunk_size": 5}),
        ({"memory_batches": 99}, {}),
        ({"optimizer": "adam"}, {"optimizer": "momentum"}),
        ({}, {"freeze_batch_norm": True, "backbone": "mobilenet_v2"}),
    ],
    ids=str,
)
def test_settings_that_need_more_memory_have_a_larger_estimate(more, less):
    backbone = less.get("backbone", "conv4")
    settings = whole(backbone, image_size=64)
    larger, smaller = settings.with_(**more), settings.with_(**less)
    assert estimate_training_memory(larger) > estimate_training_memory(smaller)


def test_height_and_width_count_each_by_itself():
    square, tall = (
        estimate_training_memory(whole("conv4", image_size=size)) for size in (128, "256x64")
    )
    assert tall == pytest.approx(square, rel=0.02)
    assert estimate_training_memory(whole("conv4", image_size="128x64")) < 0.75 * square


def test_a_chunk_of_the_whole_batch_saves_nothing():
    settings = whole("conv4", image_size=64)
    assert estimate_training_memory(settings) == estimate_training_memory(
        settings.with_(chunk_size=20)
    )


def test_a_tensor_counts_from_its_creation_to_its_last_use():
    def graph(step):
        return tf.function(step, autograph=False).get_concrete_function(tf.TensorSpec((250,)))

    # Four steps of 1000 bytes, of which two are alive at a time; the view is free.
    chain = graph(lambda x: tf.exp(tf.reshape(tf.exp(tf.exp(tf.exp(x))), (10, 25))))
    assert peak_bytes(chain.outputs) == 2000

    def backward(x):
        a = tf.exp(x)
        b = tf.exp(a)
        tf.exp(b)  # never read: never made
        return tf.exp(b) + a  # a and b are both alive while exp(b) is made; then b is not

    assert peak_bytes(graph(backward).outputs) == 3000
