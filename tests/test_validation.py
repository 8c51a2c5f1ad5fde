"""One vocabulary of checks, and one list of each choice that its registries agree with."""

from fractions import Fraction

import numpy as np
import pytest

from retrieval import validation as v
from retrieval.errors import UserError


@pytest.mark.parametrize(
    ("value", "found"),
    [(3, 3), (3.0, 3), (np.int8(3), 3), (np.float32(3), 3), (Fraction(3), 3), (0, 0)],
)
def test_a_whole_number_becomes_a_plain_int(value, found):
    given = v.check_integer("steps", value, least=0)
    assert given == found
    assert type(given) is int


NOT_NUMBERS = [True, np.bool_(True), "3", None, np.nan, np.inf, 1j, [3], np.array([3, 4])]


@pytest.mark.parametrize("value", [*NOT_NUMBERS, 2.5, -1])
def test_what_is_no_whole_number_is_refused_in_one_line(value):
    with pytest.raises(UserError, match=r"^steps = .*: .*at least 0$") as error:
        v.check_integer("steps", value, least=0)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("value", NOT_NUMBERS)
def test_what_is_no_number_is_refused(value):
    with pytest.raises(UserError, match=r"^margin = .*: .*number$"):
        v.check_number("margin", value)


@pytest.mark.parametrize(
    ("limits", "valid", "invalid", "fix"),
    [
        ({"above": 0}, 0.1, 0, "above 0"),
        ({"least": 0}, 0, -0.1, "of at least 0"),
        ({"above": 0, "below": 90}, 89.9, 90, "above 0 and below 90"),
        ({"least": 0, "most": 1}, 1, 1.1, "from 0 to 1"),
        ({"most": 1}, 1, 1.1, "at most 1"),
    ],
)
def test_the_limits_of_a_number_are_named(limits, valid, invalid, fix):
    assert v.check_number("x", valid, **limits) == valid
    with pytest.raises(UserError, match=f"^x = {invalid}: .*{fix}$"):
        v.check_number("x", invalid, **limits)


@pytest.mark.parametrize("values", [[1, 2], (1, 2), np.array([1, 2]), [np.int32(1), 2.0], {1, 2}])
def test_a_series_of_whole_numbers_becomes_a_tuple_of_ints(values):
    assert v.check_integers("ks", values, least=1) == (1, 2)


@pytest.mark.parametrize("values", ["12", 1, np.array(1), None, np.eye(2), [0], ["1"]])
def test_other_series_are_refused(values):
    with pytest.raises(UserError, match=r"^ks = .*: "):
        v.check_integers("ks", values, least=1)


@pytest.mark.parametrize("seed", [0, v.MAX_SEED])
def test_the_ends_of_the_range_of_seeds_are_in_it(seed):
    np.random.RandomState(v.check_seed("seed", seed))


@pytest.mark.parametrize("seed", [-1, v.MAX_SEED + 1, "0"])
def test_other_seeds_are_refused_and_the_range_is_named(seed):
    with pytest.raises(UserError, match="from 0 to 4294967295"):
        v.check_seed("seed", seed)


@pytest.mark.parametrize("value", [0, 1, "true", None])
def test_only_true_and_false_are_flags(value):
    assert v.check_flag("flip", np.bool_(True)) is True
    with pytest.raises(UserError, match=f"^flip = {value!r}: .*true or false$"):
        v.check_flag("flip", value)


def test_a_choice_close_to_a_valid_one_is_suggested():
    assert v.check_choice("optimizer", "adam", v.choices_of(v.Optimizer)) == "adam"
    with pytest.raises(UserError, match=r"^optimizer = 'adamm': .*'adam'.* momentum$"):
        v.check_choice("optimizer", "adamm", v.choices_of(v.Optimizer))


def test_true_is_not_the_choice_1():
    assert v.check_choice("power", np.int64(1), (1, 2)) == 1
    with pytest.raises(UserError, match=r"power = True: .*1, 2"):
        v.check_choice("power", True, (1, 2))


def test_a_registry_has_exactly_the_choices():
    from retrieval.evaluation.search import distances
    from retrieval.input_pipeline import test_time
    from retrieval.models import pooling
    from retrieval.training import optimizers

    for literal, registry in (
        (v.Optimizer, optimizers.OPTIMIZERS),
        (v.Schedule, optimizers.SCHEDULES),
        (v.MapPooling, pooling.POOLINGS),
        (v.Distance, distances.KINDS),
        (v.View, test_time.VIEWS),
    ):
        assert set(registry) == set(v.choices_of(literal)), literal


@pytest.mark.parametrize("schedule", v.choices_of(v.Schedule))
def test_every_schedule_can_be_built(schedule):
    from retrieval.training.optimizers import build_schedule

    build_schedule(schedule, 0.1, 10)


@pytest.mark.parametrize(
    ("size", "held"),
    [
        (224, 224), ("224", 224), (224.0, 224), (np.int64(224), 224), ((224, 224), 224),
        ("224x224", 224), ("256x128", "256x128"), ((256, 128), "256x128"), ([256, 128], "256x128"),
        (np.array([256, 128]), "256x128"), (" 256 X 128 ", "256x128"), ("256×128", "256x128"),
        ("1e2", 100),
    ],
)  # fmt: skip
def test_a_size_is_the_side_of_a_square_or_height_and_width(size, held):
    assert v.as_size(v.sides_of(size)) == held
    assert v.sides_of(held) == v.sides_of(size)


@pytest.mark.parametrize(
    "value",
    ["", "x", "256x", "x128", "1x2x3", "wide", [256], (1, 2, 3), (1, None), 10.5, "10.5", "2.5x4",
     True, None, {}, 0, (0, 5), "-1x5"],
)  # fmt: skip
def test_what_is_no_size_is_refused_in_one_line(value):
    with pytest.raises(UserError, match=r"^image size = .*such as 256x128$"):
        v.sides_of(value)


@pytest.mark.parametrize(
    ("pre_crop", "image_size", "message"),
    [
        (None, (256, 128), None),
        (256, (256, 128), None),
        ((288, 144), "256x128", None),
        (20, 24, "pre_crop = 20 is smaller than the image size: give 24 or more"),
        ((240, 144), (256, 128), r"pre_crop = 240x144 .* 256x128 in height: give 256x144 or more"),
        ((288, 120), (256, 128), r"pre_crop = 288x120 .* 256x128 in width: give 288x128 or more"),
        (200, (256, 128), r"pre_crop = 200 .* 256x128 in height: give 256x200 or more"),
    ],
)
def test_images_are_resized_to_at_least_what_is_cropped_from_them(pre_crop, image_size, message):
    if message is None:
        v.check_pre_crop(pre_crop, image_size)
    else:
        with pytest.raises(UserError, match=message):
            v.check_pre_crop(pre_crop, image_size)
