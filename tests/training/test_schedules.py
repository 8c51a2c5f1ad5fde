"""Learning rates step by step."""

import keras
import pytest

from retrieval.errors import UserError
from retrieval.training.optimizers import build_schedule


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
