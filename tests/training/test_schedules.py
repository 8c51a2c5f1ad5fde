"""Learning rates step by step, and a rate per part of the model."""

import keras
import numpy as np
import pytest

from retrieval.errors import UserError
from retrieval.optimizers import OPTIMIZERS, build_optimizer, scale_updates
from retrieval.schedules import build_schedule


def rate(schedule, step):
    return float(keras.ops.convert_to_numpy(schedule(step)))


def test_polynomial_falls_from_the_base_rate_to_1e_7_as_the_baseline():
    schedule = build_schedule("polynomial", 3e-4, 100)
    assert rate(schedule, 0) == pytest.approx(3e-4)
    assert rate(schedule, 50) == pytest.approx((3e-4 + 1e-7) / 2, rel=1e-4)
    assert rate(schedule, 100) == pytest.approx(1e-7, rel=1e-3)


def test_cosine_is_half_way_down_in_the_middle():
    schedule = build_schedule("cosine", 1.0, 100)
    assert [rate(schedule, s) for s in (0, 50, 100)] == pytest.approx([1.0, 0.5, 0.0], abs=1e-6)


def test_warm_up_rises_linearly_and_then_follows_the_schedule():
    schedule = build_schedule("cosine", 1.0, 110, warmup_steps=10)
    assert rate(schedule, 0) == pytest.approx(0.1)
    assert rate(schedule, 9) == pytest.approx(1.0)
    assert rate(schedule, 60) == pytest.approx(0.5, abs=1e-6)


def test_constant_is_a_plain_number_and_an_unknown_name_is_refused():
    assert build_schedule("constant", 3e-4, 10) == 3e-4
    with pytest.raises(UserError, match="did you mean 'cosine'"):
        build_schedule("cosin", 1.0, 10)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_multiplier_scales_the_step_under_every_optimiser(name):
    def move(factor):
        variable = keras.Variable(np.ones(3, np.float32))
        optimizer = build_optimizer(name, 0.1)
        optimizer.build([variable])
        for _ in range(2):
            before = [np.asarray(variable)]
            optimizer.apply([keras.ops.ones(3)], [variable])
            scale_updates(before, [variable], [factor])
        return np.asarray(variable) - 1

    np.testing.assert_allclose(move(0.1), 0.1 * move(1.0), rtol=1e-4)
    assert np.abs(move(1.0)).min() > 1e-3


def test_no_weight_decay_unless_asked_for():
    for name in OPTIMIZERS:
        variable = keras.Variable(np.ones(2, np.float32))
        optimizer = build_optimizer(name, 0.1)
        optimizer.build([variable])
        optimizer.apply([keras.ops.zeros(2)], [variable])
        np.testing.assert_array_equal(np.asarray(variable), 1.0)
