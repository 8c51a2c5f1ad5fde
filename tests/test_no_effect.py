"""A setting that would do nothing is refused, in one line with the fix."""

import pytest

from retrieval.errors import UserError
from retrieval.no_effect import check_effect
from retrieval.recipes import load_recipe, recipe_names
from retrieval.settings import TrainSettings
from retrieval.training import memory_options


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"loss": "none", "memory_batches": 3},
            "--memory-batches has no effect with --loss none, which trains nothing: drop it, or "
            "choose a loss",
        ),
        ({"loss": "none", "loss_options": {"margin": 3}}, "--loss-option has no effect with --lo"),
        (
            {"warmup_steps": 100, "steps": 2},
            "--warmup-steps 100 is longer than the training: give at most 2, or more --steps",
        ),
        ({"freeze_steps": 100, "steps": 2}, "--freeze-steps 100 is longer than the training"),
        ({"freeze_batch_norm_steps": 3, "steps": 2}, "--freeze-batch-norm-steps 3 is longer"),
        (
            {"memory_weight": 0.5},
            "--memory-weight has no effect without a cross-batch memory: drop it, or add "
            "--memory-batches",
        ),
        ({"memory_start": 0, "steps": 2}, "--memory-start has no effect without a cross-batch"),
        (
            {"memory_batches": 2, "memory_start": 2, "steps": 2},
            "--memory-start 2: the memory would never be used: give less than the 2 of --steps",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_cannot_act_is_refused(changes, message):
    with pytest.raises(UserError) as caught:
        check_effect(TrainSettings(**changes))
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": "none", "warmup_steps": 100},
        {"warmup_steps": 2, "freeze_steps": 2, "steps": 2},
        {"memory_batches": 1, "memory_start": 0, "memory_weight": 2.0},
    ],
    ids=str,
)
def test_what_acts_is_not(changes):
    check_effect(TrainSettings(**changes))


@pytest.mark.parametrize("steps", [1, 2, 10, 300])
def test_a_recipe_in_fewer_steps_keeps_a_warm_up_that_ends(steps):
    for name in recipe_names():
        check_effect(load_recipe(name).train_settings({"steps": steps}))


@pytest.mark.parametrize(
    ("changes", "start", "weight"),
    [
        ({}, 50, 1.0),
        ({"steps": 60_000}, 1000, 1.0),
        ({"memory_start": 0}, 0, 1.0),
        ({"memory_start": 7, "memory_weight": 0.25}, 7, 0.25),
    ],
    ids=str,
)
def test_start_and_weight_of_the_memory_arrive(changes, start, weight):
    shape = {"classes_per_batch": 5, "samples_per_class": 4}
    settings = TrainSettings(memory_batches=3, **shape, **changes)
    assert memory_options(settings) == {"size": 60, "start": start, "weight": weight}
    assert memory_options(TrainSettings(**shape)) is None
