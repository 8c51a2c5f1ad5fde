"""Building a loss: sizes of at least 1, the same sizes each time, and batches that fit them."""

import numpy as np
import pytest
import tensorflow as tf

from retrieval.errors import UserError
from retrieval.losses import LOSSES, get_loss
from tests.losses.helpers import OWNERS, built

LABELS = np.repeat(np.arange(4), 3)
POINTS = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)


def owners():
    """One loss of each kind that owns variables, built for 8 classes and embeddings of size 4."""
    return [
        *(built(name) for name in OWNERS),
        built("margin_loss", per_class=True),
        built("circle", cross_batch_memory=16),
    ]


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("sizes", [(0, 4), (4, 0), (-1, 4), (2.5, 4), (True, 4), ("4", 4)])
def test_sizes_are_whole_numbers_of_at_least_1(name, sizes):
    with pytest.raises(UserError, match=rf"{name} = .*: .*at least 1"):
        get_loss(name).build(*sizes)


def test_a_second_build_for_other_sizes_is_refused():
    for loss in owners():
        before = loss.get_weights()
        for sizes in ((9, 4), (8, 5)):
            with pytest.raises(UserError, match=rf"{loss.name} .*8 classes.* 4, "):
                loss.build(*sizes)
        loss.build(np.int64(8), 4)
        assert loss.get_config()["built_for"] == {"num_classes": 8, "embedding_size": 4}
        for then, now in zip(before, loss.get_weights(), strict=True):
            np.testing.assert_array_equal(then, now)


def test_a_loss_without_variables_takes_any_sizes():
    loss = built("hard_triplet")
    loss.build(20, 2)
    assert loss(LABELS, POINTS) == get_loss("hard_triplet")(LABELS, POINTS)


@pytest.mark.parametrize(
    ("name", "options"), [("mined_triplet", {"miner": "distance_weighted"}), ("margin_loss", {})]
)
def test_variables_that_depend_on_no_size_take_any_sizes(name, options):
    one, other = built(name, **options), built(name, **options)
    np.testing.assert_array_equal(one(LABELS, POINTS[:, :3]), other(LABELS, POINTS[:, :3]))
    one.build(20, 2)
    np.testing.assert_array_equal(one(LABELS, POINTS[:, :2]), other(LABELS, POINTS[:, :2]))


def test_embeddings_of_another_size_are_refused():
    for loss in owners():
        with pytest.raises(UserError, match=r"size 4.*size 3"):
            loss(LABELS, POINTS[:, :3])
        with pytest.raises(UserError, match=r"size 4.*size 3"):
            tf.function(loss)(tf.constant(LABELS), tf.constant(POINTS[:, :3]))


def test_the_first_batch_builds_a_boundary_for_all_classes():
    loss = get_loss("margin_loss")
    loss(LABELS, POINTS)
    assert [v.shape for v in loss.trainable_variables] == [()]
    assert "built_for" not in loss.get_config()
    weights = loss.trainable_variables
    loss.build(8, 4)
    assert loss.trainable_variables == weights
