"""A setting that would do nothing is refused, in one line with the fix."""

import pytest
import yaml

from retrieval.errors import UserError
from retrieval.experiment.session import expand
from retrieval.experiment.sweep import read_grid
from retrieval.settings.checks import check
from retrieval.settings.recipes import load_recipe, recipe_names
from retrieval.settings.schema import TrainSettings
from retrieval.training.fit import memory_options


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
        (
            {"decay_every": 100},
            "--decay-every has no effect without --schedule step: drop it, or add --schedule step",
        ),
        (
            {"decay_factor": 0.5, "schedule": "cosine"},
            "--decay-factor has no effect without --schedule step",
        ),
        (
            {"crop_area": 0.08},
            "--crop-area has no effect without --augment crop or strong: drop it, or add",
        ),
        ({"crop_area": 0.08, "augment": "color"}, "--crop-area has no effect without --augment"),
        ({"freeze_steps": 100, "steps": 2}, "--freeze-steps 100 is longer than the training"),
        (
            {"image_size": "64x32", "pre_crop": "72x24"},
            "pre_crop = 72x24 is smaller than the image size 64x32 in width: give 72x32 or more",
        ),
        (
            {"image_size": 32, "test_time": "five_crop"},
            "five_crop cuts views of 32 px out of images of 32 px: give a --pre-crop above 32",
        ),
        (
            {"image_size": "64x32", "pre_crop": "64x40", "test_time": "flip+five_crop"},
            "five_crop cuts views of 64x32 px out of images of 64x40 px: give a --pre-crop above "
            "64 in height",
        ),
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
        ({"loss": "none", "eval_split": "test"}, "--eval-split has no effect with --loss none"),
        (
            {"loss": "none", "eval_split": "test", "patience": 2},
            "--patience has no effect with --loss none",
        ),
        (
            {"loss": "none", "eval_split": "test", "use_checkpoint": "best"},
            "--use-checkpoint has no effect with --loss none",
        ),
        ({"loss": "none", "loss_multiplier": 2}, "--loss-multiplier has no effect with --loss no"),
        ({"loss": "none", "monitor": "nmi"}, "--monitor has no effect with --loss none"),
        (
            {"monitor": "nmi"},
            "--monitor has no effect without evaluations during training: drop it, or add "
            "--eval-split test or validation",
        ),
        (
            {"eval_split": "test", "validation_fraction": 0.3},
            "--validation-fraction has no effect without validation: drop it, or add --eval-split "
            "validation",
        ),
        (
            {"optimizer": "adamw"},
            "--optimizer adamw without weight decay is adam: add --weight-decay, or give "
            "--optimizer adam",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_setting_without_effect_is_refused(changes, message):
    with pytest.raises(UserError) as caught:
        check(TrainSettings(**changes))
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": "none", "warmup_steps": 100},
        {"warmup_steps": 2, "freeze_steps": 2, "steps": 2},
        {"memory_batches": 1, "memory_start": 0, "memory_weight": 2.0},
        {"eval_split": "validation", "validation_fraction": 0.3, "monitor": "nmi"},
        {"eval_split": "test", "monitor": "nmi"},
        {"optimizer": "adamw", "weight_decay": 0.1},
        {"freeze_backbone": True, "head": "fc1024", "mixed_precision": True},
        {"mixed_precision": True, "freeze_batch_norm": False},
    ],
    ids=str,
)
def test_a_setting_with_an_effect_is_accepted(changes):
    check(TrainSettings(**changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"freeze_batch_norm": False},
            "--no-freeze-batch-norm has no effect with --freeze-backbone, which trains on cached "
            "features: drop one of the two",
        ),
        (
            {"mixed_precision": True},
            "--mixed-precision has no effect with --freeze-backbone and --head direct",
        ),
    ],
    ids=["batch norm", "16 bit"],
)
def test_a_setting_without_effect_on_cached_features_is_refused(changes, message):
    with pytest.raises(UserError) as caught:
        check(TrainSettings(freeze_backbone=True, **changes))
    assert str(caught.value).startswith(message)


def test_settings_of_a_recipe_may_be_without_effect():
    watched = load_recipe("grocery/efficientnet_lite0_multi_similarity").train_settings
    check(watched({"loss": "none"}))
    held = load_recipe("cub200/npairs_loss").train_settings({"freeze_backbone": True})
    assert not held.freeze_batch_norm
    check(held)


@pytest.mark.parametrize(
    ("loss", "options"),
    [("npairs_loss", {}), ("margin_loss", {"learn_beta": False})],
)
def test_a_learning_rate_for_weights_that_the_loss_does_not_own_is_refused(loss, options):
    settings = TrainSettings(loss=loss, loss_options=options, loss_multiplier=3)
    with pytest.raises(UserError, match=f"^--loss-multiplier .*--loss {loss}, "):
        check(settings)
    for owner in ("proxy_anchor", "margin_loss"):
        check(TrainSettings(loss=owner, loss_multiplier=3))


def test_the_untrained_network_among_six_losses_has_no_settings_of_their_training():
    shared = {
        "eval_split": "validation", "validation_fraction": 0.3, "patience": 2, "monitor": "nmi",
        "use_checkpoint": "best", "loss_options": {"margin": 1.0},
    }  # fmt: skip
    untrained, *six = expand(TrainSettings(loss="all", **shared), 1)
    assert len(six) == 6
    check(untrained)


def test_decays_and_crop_areas_go_with_their_schedule_and_augmentation():
    check(TrainSettings(schedule="step"))
    check(TrainSettings(schedule="step", decay_every=10, decay_factor=0.5))
    for augment in ("crop", "strong"):
        check(TrainSettings(augment=augment, crop_area=0.08))
    recipe = load_recipe("cub200/resnet50_proxy_anchor")
    check(recipe.train_settings({"schedule": "constant", "augment": "none"}))


@pytest.mark.parametrize("steps", [1, 2, 10, 300])
def test_a_recipe_in_fewer_steps_keeps_a_warm_up_that_ends(steps):
    for name in recipe_names():
        check(load_recipe(name).train_settings({"steps": steps}))


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
def test_start_and_weight_of_the_memory_reach_the_loss(changes, start, weight):
    shape = {"classes_per_batch": 5, "samples_per_class": 4}
    settings = TrainSettings(memory_batches=3, **shape, **changes)
    assert memory_options(settings) == {"size": 60, "start": start, "weight": weight}
    assert memory_options(TrainSettings(**shape)) is None


def test_a_sweeps_base_may_hold_what_only_some_of_its_losses_use(tmp_path):
    grid = {
        "base": {"eval_split": "test", "patience": 2, "monitor": "nmi", "loss_multiplier": 3.0},
        "grid": {"loss": ["none", "npairs_loss", "proxy_anchor"]},
    }
    file = tmp_path / "sweep.yaml"
    file.write_text(yaml.safe_dump(grid))
    found = read_grid(file).runs
    assert [settings.patience for settings in found.values()] == [0, 2, 2]
