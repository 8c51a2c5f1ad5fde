"""Optimizers: decay, clipping, a learning rate per part, frozen parts; schedules step by step."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from retrieval.errors import UserError
from retrieval.training.optimizers import (
    OPTIMIZERS,
    apply_scaled,
    build_optimizer,
    build_schedule,
    slot_count,
)


def weights(value=1.0) -> keras.Variable:
    return keras.Variable(np.full(3, value, np.float32))


def walk(name, factors, gradient=1.0, **options) -> np.ndarray:
    """Positions (steps, 3) of a variable that starts at 1, one factor per step."""
    variable, places = weights(), []
    optimizer = build_optimizer(name, 0.1, **options)
    optimizer.build([variable])
    for factor in factors:
        apply_scaled(optimizer, [keras.ops.full((3,), gradient)], [variable], [factor])
        places.append(np.array(variable))
    return np.array(places)


@pytest.mark.parametrize("name", OPTIMIZERS)
class TestEveryOptimizer:
    def test_moves_against_the_gradient(self, name):
        assert (np.diff(walk(name, [1.0] * 5), axis=0, prepend=1.0) < -1e-3).all()

    def test_a_multiplier_scales_every_step(self, name):
        full, tenth = walk(name, [1.0] * 3) - 1, walk(name, [0.1] * 3) - 1
        np.testing.assert_allclose(tenth, 0.1 * full, rtol=1e-4)

    def test_a_multiplier_scales_weight_decay_too(self, name):
        full = walk(name, [1.0], gradient=0.0, weight_decay=0.5) - 1
        tenth = walk(name, [0.1], gradient=0.0, weight_decay=0.5) - 1
        np.testing.assert_allclose(full, -0.1 * 0.5, rtol=1e-5)
        np.testing.assert_allclose(tenth, 0.1 * full, rtol=1e-4)

    def test_a_frozen_part_does_not_move_at_all(self, name):
        places = walk(name, [0.0] * 4, weight_decay=0.5)
        np.testing.assert_array_equal(places, 1.0)

    def test_a_part_that_was_frozen_starts_without_a_jump(self, name):
        """No later step is longer than without freezing, give or take rounding."""
        free = -np.diff(walk(name, [1.0] * 40), axis=0, prepend=1.0)
        frozen = -np.diff(walk(name, [0.0] * 20 + [1.0] * 20), axis=0, prepend=1.0)
        assert frozen[20:].max() <= 1.001 * free.max()

    def test_does_not_decay_unless_asked_to(self, name):
        np.testing.assert_array_equal(walk(name, [1.0], gradient=0.0), 1.0)

    def test_runs_in_a_graph_with_a_multiplier_that_changes(self, name):
        variable, steps = weights(), tf.Variable(0)
        optimizer = build_optimizer(name, 0.1)
        optimizer.build([variable])

        @tf.function
        def step():
            factor = tf.cast(steps >= 2, tf.float32)
            apply_scaled(optimizer, [tf.ones(3)], [variable], [factor])
            steps.assign_add(1)
            return tf.identity(variable.value)

        places = np.array([step() for _ in range(4)])
        np.testing.assert_array_equal(places[:2], 1.0)
        np.testing.assert_allclose(places, walk(name, [0.0, 0.0, 1.0, 1.0]), rtol=1e-6)


def test_each_part_has_its_own_multiplier():
    head, backbone = weights(), weights()
    optimizer = build_optimizer("adam", 0.1)
    optimizer.build([head, backbone])
    gradients = [keras.ops.ones((3,)), keras.ops.ones((3,))]
    apply_scaled(optimizer, gradients, [head, backbone], [1.0, 0.01])
    np.testing.assert_allclose(np.array(head) - 1, -0.1, rtol=1e-4)
    np.testing.assert_allclose(np.array(backbone) - 1, -0.001, rtol=1e-3)


def test_scaling_gradients_instead_would_do_nothing_under_adam():
    np.testing.assert_allclose(walk("adam", [1.0], 0.1), walk("adam", [1.0], 1.0), rtol=1e-5)


def test_clipping_bounds_the_norm_over_all_variables():
    one, other = weights(0.0), weights(0.0)
    optimizer = build_optimizer("momentum", 1.0, clip_norm=5.0)
    optimizer.build([one, other])
    optimizer.apply([keras.ops.full((3,), 30.0), keras.ops.full((3,), 40.0)], [one, other])
    step = np.concatenate([np.array(one), np.array(other)])
    assert np.linalg.norm(step) == pytest.approx(5.0, rel=1e-5)
    assert step[3] / step[0] == pytest.approx(4 / 3)


def test_an_unknown_name_is_refused():
    with pytest.raises(UserError, match=r"'adamww'.*'adamw'"):
        build_optimizer("adamww", 0.1)


# --- Schedules


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


def test_step_falls_by_a_factor_at_equal_intervals():
    schedule = build_schedule("step", 0.8, 100, decay_every=30, decay_factor=0.5)
    rates = [rate(schedule, step) for step in (0, 29, 30, 59, 60, 90, 99)]
    assert rates == pytest.approx([0.8, 0.8, 0.4, 0.4, 0.2, 0.1, 0.1])


def test_step_counts_its_intervals_from_the_end_of_the_warm_up():
    schedule = build_schedule("step", 0.8, 100, warmup_steps=10, decay_every=30, decay_factor=0.5)
    rates = [rate(schedule, step) for step in (4, 9, 39, 40, 70)]
    assert rates == pytest.approx([0.4, 0.8, 0.8, 0.4, 0.2])


def test_step_without_an_interval_never_decays():
    schedule = build_schedule("step", 0.8, 100)
    assert {rate(schedule, step) for step in (0, 50, 99)} == {np.float32(0.8).item()}


def test_constant_is_a_plain_number_and_an_unknown_name_is_refused():
    assert build_schedule("constant", 3e-4, 10) == 3e-4
    with pytest.raises(UserError, match=r"'cosin'.*'cosine'"):
        build_schedule("cosin", 1.0, 10)


def test_polynomial_power_bends_the_fall():
    schedule = build_schedule("polynomial", 1.0, 100, power=2.0)
    assert rate(schedule, 50) == pytest.approx(0.25, rel=1e-4)


@pytest.mark.parametrize("name", ["constant", "polynomial", "cosine"])
def test_warm_up_is_part_of_the_steps_and_never_exceeds_the_base_rate(name):
    schedule = build_schedule(name, 2.0, 50, warmup_steps=20)
    rates = [rate(schedule, step) for step in range(51)]
    assert rates[:20] == pytest.approx([2.0 * (step + 1) / 20 for step in range(20)])
    assert max(rates) == pytest.approx(2.0)
    assert rates[20] == pytest.approx(2.0)
    assert rates[50] == pytest.approx({"constant": 2.0, "polynomial": 1e-7, "cosine": 0.0}[name])


def test_a_schedule_survives_being_saved_with_its_optimizer():
    optimizer = keras.optimizers.Adam(build_schedule("cosine", 1.0, 30, warmup_steps=10))
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    for step in (0, 5, 20, 30):
        assert rate(again._learning_rate, step) == rate(optimizer._learning_rate, step)


def test_the_copies_of_the_weights_are_those_of_the_algorithms():
    # Adam keeps two moments of the gradient, momentum its running sum.
    assert {name: slot_count(name) for name in OPTIMIZERS} == {"adam": 2, "adamw": 2, "momentum": 1}
