"""The Matryoshka wrapper: every loss, at several widths of the embedding."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from retrieval.errors import UserError
from retrieval.losses import LOSSES, Matryoshka, get_loss, takes_memory

LABELS = np.repeat(np.arange(6), 4)
WIDTHS = (2, 5)


@pytest.fixture(scope="module")
def embeddings():
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((6, 8))[LABELS] + rng.standard_normal((24, 8))).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def built(name, widths=WIDTHS, **options):
    loss = get_loss(name, matryoshka=widths, **options)
    loss.build(num_classes=6, embedding_size=8)
    return loss


def plain_at(name, width, weights=None, **options):
    loss = get_loss(name, **options)
    loss.build(num_classes=6, embedding_size=width)
    loss.build_itself()
    if weights is not None:
        loss.set_weights(weights)
    return loss


def cut(embeddings, width):
    part = embeddings[:, :width].astype(np.float64)
    return (part / np.linalg.norm(part, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_is_the_mean_of_the_plain_loss_at_every_width(name, embeddings):
    loss = built(name)
    inner = [part.get_weights() for _, part in loss._parts]
    found = float(loss(LABELS, embeddings))
    wanted = [
        float(plain_at(name, width, weights)(LABELS, cut(embeddings, width)))
        for width, weights in zip((*WIDTHS, 8), inner, strict=True)
    ]
    assert found == pytest.approx(np.mean(wanted), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_it_survives_a_file_and_batches_without_a_tuple(name, embeddings):
    loss = built(name)
    copy = keras.losses.deserialize(keras.losses.serialize(loss))
    copy.set_weights(loss.get_weights())
    assert float(copy(LABELS, embeddings)) == pytest.approx(float(loss(LABELS, embeddings)), 1e-5)
    batch = tf.constant(np.zeros((3, 8), np.float32))
    with tf.GradientTape() as tape:
        tape.watch(batch)
        value = built(name)(np.array([0, 1, 2]), batch)
    gradient = tape.gradient(value, batch)
    assert np.isfinite(float(value))
    assert gradient is None or np.isfinite(gradient).all()


@pytest.mark.parametrize("name", [name for name in LOSSES if LOSSES[name].needs_classes])
def test_every_width_has_its_own_weights_and_all_are_trained(name, embeddings):
    loss = built(name)
    shapes = [tuple(v.shape) for v in loss.trainable_variables]
    assert [shape[1] for shape in shapes] == [2, 5, 8]
    assert len({v.path for v in loss.variables}) == len(loss.variables)
    with tf.GradientTape() as tape:
        value = loss(LABELS, embeddings)
    for gradient in tape.gradient(value, [v.value for v in loss.trainable_variables]):
        assert np.abs(tf.convert_to_tensor(gradient)).max() > 0


def test_a_memory_holds_what_was_cut_off_at_every_width(embeddings):
    loss = built("contrastive_loss", cross_batch_memory={"size": 24, "start": 0})
    first = float(loss(LABELS, embeddings))
    second = float(loss(LABELS, embeddings[::-1].copy()))
    wanted = []
    for width in (*WIDTHS, 8):
        memory = {"size": 24, "start": 0}
        alone = plain_at("contrastive_loss", width, cross_batch_memory=memory)
        part = cut(embeddings, width)
        wanted.append([float(alone(LABELS, part)), float(alone(LABELS, part[::-1].copy()))])
    assert [first, second] == pytest.approx(np.mean(wanted, axis=0).tolist(), rel=1e-4)
    kept = [v for v in loss.non_trainable_variables if v.name == "memory_embeddings"]
    assert [tuple(v.shape) for v in kept] == [(24, 2), (24, 5), (24, 8)]
    np.testing.assert_allclose(kept[0], cut(embeddings[::-1], 2), atol=1e-6)


def test_a_boundary_per_class_in_a_memory_survives_a_file(embeddings):
    memory = {"size": 8, "start": 0}
    loss = built("margin_loss", per_class=True, cross_batch_memory=memory)
    copy = keras.losses.deserialize(keras.losses.serialize(loss))
    copy.set_weights(loss.get_weights())
    assert float(copy(LABELS, embeddings)) == pytest.approx(float(loss(LABELS, embeddings)), 1e-5)


def test_embeddings_are_cut_off_as_they_are_where_the_loss_reads_lengths(embeddings):
    loss = built("hard_triplet", {"widths": [3], "normalize": False})
    wanted = [float(get_loss("hard_triplet")(LABELS, x)) for x in (embeddings[:, :3], embeddings)]
    assert float(loss(LABELS, embeddings)) == pytest.approx(np.mean(wanted), rel=1e-5)


def test_the_width_of_the_embedding_may_be_named_and_counts_once(embeddings):
    assert float(built("circle", (2, 5, 8))(LABELS, embeddings)) == pytest.approx(
        float(built("circle")(LABELS, embeddings))
    )


def test_an_empty_batch_is_0():
    loss = built("circle", [2])
    step = tf.function(lambda y, x: loss(y, x)).get_concrete_function(
        tf.TensorSpec([None], tf.int64), tf.TensorSpec([None, 8], tf.float32)
    )
    assert float(step(tf.zeros([0], tf.int64), tf.zeros([0, 8]))) == 0


def test_mistakes_are_one_line():
    for widths, words in (([], "give widths"), ([4, 2], "ascending"), ([2, 2], "ascending")):
        with pytest.raises(UserError, match=words):
            get_loss("circle", matryoshka=widths)
    with pytest.raises(UserError, match="exceeds the embedding's 8"):
        built("circle", [2, 16])
    with pytest.raises(UserError, match="at least one below it"):
        built("circle", [8])
    with pytest.raises(UserError, match="build"):
        get_loss("circle", matryoshka=[2])([0, 0], [[1.0, 0.0], [1.0, 0.0]])
    with pytest.raises(UserError, match="option of matryoshka"):
        get_loss("circle", matryoshka={"width": [2]})
    with pytest.raises(UserError, match="takes a ranking loss"):
        Matryoshka(keras.losses.MeanSquaredError(), [2])


def test_losses_that_take_a_memory_take_both():
    for name in filter(takes_memory, LOSSES):
        loss = get_loss(name, cross_batch_memory=4, matryoshka=[2])
        assert isinstance(loss, Matryoshka)
