"""Options: NumPy's numbers become plain ones, nonsense is refused in one line."""

import json

import numpy as np
import pytest
import yaml

from retrieval.errors import UserError
from retrieval.losses import LOSSES, get_loss, recommended_options

# Every option whose recommended value is a number.
NUMBERS = [
    (name, option, value)
    for name in LOSSES
    for option, value in recommended_options(name).items()
    if isinstance(value, int | float) and not isinstance(value, bool)
]


def numpy_number(value):
    return np.int64(value) if isinstance(value, int) else np.float32(value)


@pytest.mark.parametrize(("name", "option", "value"), NUMBERS)
def test_a_numpy_number_is_kept_as_a_plain_one(name, option, value):
    loss = get_loss(name, **{option: numpy_number(value)})
    config = loss.get_config()
    assert type(config[option]) is type(value)
    assert type(getattr(loss, option)) is type(value)
    assert config[option] == pytest.approx(value)
    assert json.loads(json.dumps(config)) == config
    assert yaml.safe_load(yaml.safe_dump(config)) == config


def test_numpy_flags_lists_and_memory_sizes_are_kept_as_plain_ones():
    loss = get_loss("margin_loss", per_class=np.bool_(True))
    assert loss.get_config()["per_class"] is True
    for ks in (np.array([1, 4]), [np.int64(1), np.int32(4)]):
        config = get_loss("recall_at_k", ks=ks).get_config()
        assert json.dumps(config["ks"]) == "[1, 4]"
    memory = get_loss("circle", cross_batch_memory={"size": np.int64(8), "weight": np.float32(1)})
    config = memory.get_config()
    assert [type(config[k]) for k in ("size", "start", "weight")] == [int, int, float]


@pytest.mark.parametrize(("name", "option", "value"), NUMBERS)
@pytest.mark.parametrize(
    "given", [True, np.bool_(False), "0.2", np.array([1, 2]), np.nan, np.inf, [1.0], 1j]
)
def test_what_is_not_one_number_is_refused_in_one_line(name, option, value, given):
    with pytest.raises(UserError, match=rf"^loss {name}: {option} = .*: ") as error:
        get_loss(name, **{option: given})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("contrastive_loss", {"margin": -0.5}, "margin = -0.5: give a number above 0"),
        ("contrastive_loss", {"margin": 0}, "margin = 0: give a number above 0"),
        ("contrastive_loss", {"power": True}, "power = True: choose one of 1, 2"),
        ("contrastive_loss", {"pairs": np.array([1, 2])}, "choose one of blocks, all, active"),
        (
            "hard_triplet",
            {"margin": -1},
            "margin = -1: give a number of at least 0 or 'soft' or 'none'",
        ),
        (
            "semi_hard_triplet",
            {"margin": "0.2"},
            "margin = '0.2': give a number of at least 0 or 'soft'",
        ),
        ("lifted_loss", {"margin": -1.0}, "margin = -1.0: give a number of at least 0"),
        ("generalized_lifted", {"margin": -1.0}, "margin = -1.0: give a number of at least 0"),
        ("margin_loss", {"beta": -0.1}, "beta = -0.1: give a number of at least 0"),
        ("margin_loss", {"margin": -0.1}, "margin = -0.1: give a number of at least 0"),
        ("npairs_loss", {"regularizer": -1}, "regularizer = -1: give a number of at least 0"),
        ("soft_triple", {"regularizer": -1}, "regularizer = -1: give a number of at least 0"),
        ("ranked_list", {"alpha": 0}, "alpha = 0: give a number above 0"),
        ("ranked_list", {"balance": -0.1}, "give a number from 0 to 1$"),
        ("ranked_list", {"negative_temperature": -1}, "give a number of at least 0"),
    ],
)
def test_values_that_turn_a_loss_around_are_refused(name, options, message):
    with pytest.raises(UserError, match=message):
        get_loss(name, **options)


@pytest.mark.parametrize("balance", [0, 1, 0.0, 1.0])
def test_the_ends_of_a_closed_interval_are_in_it(balance):
    assert get_loss("ranked_list", balance=balance).balance == balance
