"""What ``fit`` reports for an epoch is what Keras reports: means over its batches."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from retrieval import RankingModel
from retrieval.errors import UserError

RNG = np.random.default_rng(0)
# Three batches of 8, 8 and 4 items: of very different loss, and of different size.
SCALES = np.repeat([1.0, 5.0, 0.2], [8, 8, 4])[:, None]
INPUTS = (SCALES * RNG.normal(size=(20, 5))).astype("float32")
LABELS = np.tile([0, 0, 1, 1], 5).astype("int32")
FIT = {"x": INPUTS, "y": LABELS, "batch_size": 8, "shuffle": False, "verbose": 0}


@keras.saving.register_keras_serializable(package="test_model_means")
class Length(keras.layers.Layer):
    """Pass on the inputs, and record the sum of their lengths, as a metric of the layer's own."""

    def __init__(self, **options):
        super().__init__(**options)
        self.length = keras.metrics.Sum(name="length")

    def call(self, inputs):
        self.length.update_state(tf.norm(inputs, axis=1))
        return inputs


def mean_pair_loss(labels, embeddings):
    """Return the mean over all pairs of a loss that plain Keras can train too."""
    labels = tf.reshape(labels, (-1,))
    squares = tf.reduce_sum((embeddings[:, None] - embeddings[None]) ** 2, 2)
    distances = tf.sqrt(squares + 1e-6)
    same = tf.cast(labels[:, None] == labels[None], tf.float32)
    return tf.reduce_mean(same * squares + (1 - same) * (distances - 1) ** 2)


def network(*layers, **options):
    keras.utils.set_random_seed(1)
    own = [keras.Input((5,)), keras.layers.Dense(3, **options), *layers]
    return keras.Sequential(own)


GRAPH, EAGER, XLA = {"jit_compile": False}, {"run_eagerly": True}, {"jit_compile": True}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "chunk_size", "regularizer"),
    [(GRAPH, 0, None), (GRAPH, 3, "l2"), (EAGER, 0, "l2"), (EAGER, 3, None), (XLA, 0, "l2")],
)
def test_an_epoch_reports_what_plain_keras_reports(mode, chunk_size, regularizer):
    options = {"epochs": 3, "validation_data": (INPUTS[:12], LABELS[:12])}
    options |= {"validation_batch_size": 8}
    plain = network(Length(), kernel_regularizer=regularizer)
    plain.compile(optimizer=keras.optimizers.SGD(0.02), loss=mean_pair_loss, **mode)
    ours = RankingModel(
        network(Length(), kernel_regularizer=regularizer), mean_pair_loss, chunk_size=chunk_size
    )
    ours.compile(optimizer=keras.optimizers.SGD(0.02), **mode)
    found = ours.fit(**FIT, **options).history
    wanted = plain.fit(**FIT, **options).history
    assert set(found) == {*wanted, "spread"}
    for name, values in wanted.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, err_msg=name)
    evaluation = {"batch_size": 8, "verbose": 0, "return_dict": True}
    found = ours.evaluate(INPUTS, LABELS, **evaluation)
    wanted = plain.evaluate(INPUTS, LABELS, **evaluation)
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert found[name] == pytest.approx(value, rel=1e-4)


class Recorder(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.steps, self.epochs = [], []

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append(dict(logs))

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(dict(logs))


@pytest.mark.parametrize(("mode", "chunk_size"), [(GRAPH, 0), (GRAPH, 3), (EAGER, 0)])
def test_loss_and_spread_of_an_epoch_are_the_means_of_its_steps(mode, chunk_size):
    def run(*, logs_steps):
        model = RankingModel(network(), "hard_triplet", chunk_size=chunk_size, freeze_steps=2)
        model.compile(optimizer=keras.optimizers.SGD(0.01), **mode)
        model.logs_steps = logs_steps
        recorder = Recorder()
        history = model.fit(**FIT, epochs=2, callbacks=[recorder]).history
        return recorder, history

    (steps, history), (running, same) = run(logs_steps=True), run(logs_steps=False)
    for name in ("loss", "spread"):
        assert [epoch[name] for epoch in steps.epochs] == history[name] == same[name]
        for epoch in range(2):
            rows = [row[name] for row in steps.steps[3 * epoch : 3 * epoch + 3]]
            assert max(rows) > 1.05 * min(rows)
            wanted = [np.average(rows[: n + 1], weights=[8, 8, 4][: n + 1]) for n in range(3)]
            shown = [row[name] for row in running.steps[3 * epoch : 3 * epoch + 3]]
            np.testing.assert_allclose(shown, wanted, rtol=1e-5)
            assert history[name][epoch] == pytest.approx(wanted[-1], rel=1e-5)


def test_early_stopping_and_model_checkpoints_follow_the_mean(tmp_path):
    """The last batch, of four items, gets worse while the mean gets better, or the reverse."""
    values = {0: [1.0, 1.0, 9.0], 1: [5.0, 5.0, 1.0], 2: [6.0, 6.0, 0.1]}  # epoch -> batches
    table, counter = tf.constant(np.concatenate(list(values.values())), tf.float32), tf.Variable(0)

    def scripted(labels, embeddings):
        value = table[counter]
        counter.assign_add(1)
        return value + 0.0 * tf.reduce_sum(embeddings)

    model = RankingModel(network(), scripted)
    model.compile(optimizer="sgd", jit_compile=False)
    saved = str(tmp_path / "{epoch}.weights.h5")
    callbacks = [
        keras.callbacks.ModelCheckpoint(
            saved, monitor="loss", save_best_only=True, save_weights_only=True
        ),
        keras.callbacks.EarlyStopping(monitor="loss", patience=2),
    ]
    history = model.fit(**FIT, epochs=3, callbacks=callbacks).history
    means = [np.average(v, weights=[8, 8, 4]) for v in values.values()]
    np.testing.assert_allclose(history["loss"], means, rtol=1e-6)
    assert [path.name for path in tmp_path.iterdir()] == ["1.weights.h5"]
    assert callbacks[1].stopped_epoch == 2


def test_a_penalty_on_activations_is_trained_and_refused_in_chunks():
    def fit(chunk_size):
        model = RankingModel(
            network(activity_regularizer="l2"), mean_pair_loss, chunk_size=chunk_size
        )
        model.compile(optimizer="sgd", jit_compile=False)
        return model.fit(**FIT).history["loss"][0]

    plain = network(activity_regularizer="l2")
    plain.compile(optimizer="sgd", loss=mean_pair_loss, jit_compile=False)
    assert fit(0) == pytest.approx(plain.fit(**FIT).history["loss"][0], rel=1e-5)
    with pytest.raises(UserError, match="chunk_size"):
        fit(3)
