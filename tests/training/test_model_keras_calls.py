"""Keras' usual calls work on a ranking model, or say in one line why they do not."""

import keras
import numpy as np
import pytest

from retrieval import RankingModel
from retrieval.errors import UserError
from retrieval.losses import get_loss

RNG = np.random.default_rng(0)
LABELS = np.repeat(np.arange(4), 4)
INPUTS = (3 * RNG.normal(size=(4, 5))[LABELS] + RNG.normal(size=(16, 5))).astype("float32")


def compiled(loss) -> RankingModel:
    model = RankingModel(keras.Sequential([keras.Input((5,)), keras.layers.Dense(3)]), loss)
    model.compile(optimizer=keras.optimizers.SGD(0.01))
    return model


def test_evaluate_gives_the_mean_loss_of_the_batches_weighted_by_their_size():
    loss = get_loss("hard_triplet", margin="soft")
    model = compiled(loss)
    embeddings = model.predict_on_batch(INPUTS)
    first, last = (float(loss(LABELS[s], embeddings[s])) for s in (slice(12), slice(12, 16)))
    value = model.evaluate(INPUTS, LABELS, batch_size=12, verbose=0)
    assert value == pytest.approx((12 * first + 4 * last) / 16, rel=1e-5)


def test_the_validation_loss_is_logged():
    model = compiled("hard_triplet")
    history = model.fit(
        INPUTS, LABELS, batch_size=16, epochs=2, verbose=0, shuffle=False,
        validation_data=(INPUTS, LABELS), validation_batch_size=16,
    ).history  # fmt: skip
    assert set(history) == {"loss", "spread", "val_loss"}
    # The second step begins where the first validation was.
    assert history["val_loss"][0] == pytest.approx(history["loss"][1], rel=1e-5)


@pytest.mark.parametrize("eager", [False, True], ids=["graph", "eager"])
@pytest.mark.parametrize(
    ("name", "memory"), [("margin_loss", None), ("hard_triplet", {"size": 20, "start": 0})]
)
def test_evaluation_does_not_change_the_random_state_and_memory_of_a_loss(name, memory, eager):
    loss = get_loss(name, cross_batch_memory=memory)
    loss.build(4, 3)
    model = compiled(loss)
    model.compile(optimizer="sgd", run_eagerly=eager)
    model.fit(INPUTS, LABELS, batch_size=16, verbose=0)
    before = loss.get_weights()
    values = [model.evaluate(INPUTS, LABELS, batch_size=8, verbose=0) for _ in range(2)]
    assert values[0] == values[1] > 0
    for a, b in zip(before, loss.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_loss_can_be_given_by_its_name():
    assert compiled("semi_hard_triplet").ranking_loss.get_config() == (
        get_loss("semi_hard_triplet").get_config()
    )


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ("hard_triplets", "'hard_triplets'.*'hard_triplet'"),
        ("arcface", r"arcface.*build\("),
        (None, "RankingModel.* None"),
    ],
)
def test_anything_but_a_loss_that_is_ready_to_train_is_refused(loss, message):
    with pytest.raises(UserError, match=message) as caught:
        compiled(loss)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("option", "given"),
    [
        ("loss", "mse"),
        ("loss_weights", [1.0]),
        ("metrics", ["accuracy"]),
        ("weighted_metrics", ["accuracy"]),
    ],
)
def test_compile_refuses_what_it_would_ignore(option, given):
    with pytest.raises(UserError, match=rf"compile\({option}=...\): ") as caught:
        compiled("hard_triplet").compile(optimizer="sgd", **{option: given})
    assert "\n" not in str(caught.value)


def test_compile_accepts_the_other_options_of_keras_but_no_typos():
    model = compiled("hard_triplet")
    model.compile(optimizer="sgd", metrics=[], run_eagerly=True)
    assert model.run_eagerly
    with pytest.raises(TypeError, match="run_eagrly"):
        model.compile(optimizer="sgd", run_eagrly=True)


@pytest.mark.parametrize(
    ("weights", "call"),
    [
        ({"sample_weight": np.ones(16)}, "fit"),
        ({"class_weight": {0: 1.0, 1: 2.0, 2: 1.0, 3: 1.0}}, "fit"),
        ({"sample_weight": np.ones(16)}, "evaluate"),
    ],
)
def test_weights_per_item_are_refused(weights, call):
    with pytest.raises(UserError, match="sample_weight and class_weight"):
        getattr(compiled("hard_triplet"), call)(INPUTS, LABELS, verbose=0, **weights)


@pytest.mark.parametrize("call", ["fit", "evaluate"])
def test_inputs_without_labels_are_refused(call):
    with pytest.raises(UserError, match=r"RankingModel.*labels"):
        getattr(compiled("hard_triplet"), call)(INPUTS, verbose=0)
