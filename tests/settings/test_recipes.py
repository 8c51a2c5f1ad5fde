"""Recipes: eighteen published experiments, each a valid setting with its published figures."""

import pytest

from retrieval.datasets.catalog import make_catalog
from retrieval.errors import UserError
from retrieval.experiment.session import BASELINE_LOSSES
from retrieval.losses import LOSSES
from retrieval.models import BACKBONES
from retrieval.settings.checks import check
from retrieval.settings.recipes import load_recipe, recipe_names
from retrieval.settings.resolve import resolve
from retrieval.settings.schema import TrainSettings


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_is_a_valid_setting_of_its_data_set_and_loss(name):
    recipe = load_recipe(name)
    settings = recipe.train_settings({"data": "somewhere"})
    assert name.startswith(settings.dataset + "/")
    assert settings.loss in LOSSES
    assert settings.loss in name
    assert settings.backbone in BACKBONES
    assert (settings.recipe, settings.scaled) == (name, False)


@pytest.mark.parametrize("dataset", ["cub200", "sop", "inshop"])
def test_the_six_losses_of_the_baseline_are_there_with_what_was_published(dataset):
    for loss in BASELINE_LOSSES:
        published = load_recipe(f"{dataset}/{loss}").published
        assert set(published.metrics) == {"nmi", "recall@1", "recall@4"}
        assert 0 < published.metrics["recall@1"] < published.metrics["recall@4"] < 1


def test_a_changed_recipe_is_marked_as_scaled():
    recipe = load_recipe("cub200/semi_hard_triplet")
    assert recipe.settings["steps"] == 10_000
    assert recipe.train_settings({"steps": 10_000}).scaled is False
    assert recipe.train_settings({"steps": 50}).scaled is True


@pytest.mark.parametrize(
    ("changes", "pre_crop"),
    [
        ({}, 256),
        ({"image_size": 112}, 128),
        ({"image_size": 448}, 512),
        ({"image_size": 112, "pre_crop": 112}, 112),
        ({"image_size": 112, "pre_crop": None}, None),
    ],
)
def test_a_smaller_image_still_shows_as_much_of_the_photo(changes, pre_crop):
    assert load_recipe("cub200/semi_hard_triplet").train_settings(changes).pre_crop == pre_crop


@pytest.mark.parametrize(
    ("changes", "warmup_steps", "freeze_steps"),
    [
        ({}, 200, 200),
        ({"steps": 500}, 20, 20),
        ({"steps": 10_000}, 200, 200),
        ({"steps": 500, "freeze_steps": 0}, 20, 0),
    ],
)
def test_fewer_steps_leave_as_large_a_part_of_the_training(changes, warmup_steps, freeze_steps):
    recipe = load_recipe("cub200/resnet50_proxy_anchor")
    assert recipe.settings["steps"] == 5_000
    settings = recipe.train_settings(changes)
    assert (settings.warmup_steps, settings.freeze_steps) == (warmup_steps, freeze_steps)


def test_the_options_of_a_recipes_loss_are_dropped_for_another_loss():
    recipe = load_recipe("cub200/hard_triplet")
    assert recipe.train_settings({"steps": 5}).loss_options == {"margin": 1.0}
    for loss in ("npairs_loss", "none"):
        settings = recipe.train_settings({"loss": loss})
        check(settings)
        assert (settings.loss_options, settings.scaled) == ({}, True)
    given = recipe.train_settings({"loss": "semi_hard_triplet", "loss_options": {"margin": 0.1}})
    assert given.loss_options == {"margin": 0.1}


def test_changed_settings_are_named():
    recipe = load_recipe("cub200/semi_hard_triplet")
    assert recipe.changed_settings(recipe.train_settings()) == []
    changes = {
        "data": "elsewhere", "seed": 3, "steps": 50, "image_size": 112, "chunk_size": 20,
        "loss_options": {"margin": 0.5}, "dataset_options": {"boxes": True},
    }  # fmt: skip
    assert set(recipe.changed_settings(recipe.train_settings(changes))) == {
        "steps 50", "image size 112", "pre crop 128", "chunk size 20", "margin 0.5", "boxes True",
    }  # fmt: skip


def test_an_unknown_recipe_names_the_closest():
    with pytest.raises(UserError, match="'cub200/npairs_loss'"):
        load_recipe("cub200/npair_loss")


def test_a_recipe_is_adapted_to_a_data_set_of_few_classes_and_marked_as_scaled(tmp_path):
    path = [f"{label}/{n}.jpg" for label in range(6) for n in range(2)]
    labels = [label for label in range(6) for _ in range(2)]
    catalog = make_catalog(
        "cub200", tmp_path, path=path, label=labels, label_name=[str(label) for label in labels],
        split=["train"] * 8 + ["test"] * 4,
    )  # fmt: skip
    recipe = load_recipe("cub200/semi_hard_triplet")
    fitted = resolve(recipe.train_settings({}), catalog)
    assert (recipe.settings["classes_per_batch"], fitted.classes_per_batch) == (20, 4)
    assert fitted.scaled is True
    with pytest.raises(UserError, match="--classes-per-batch 19"):
        resolve(recipe.train_settings({"classes_per_batch": 19}), catalog)


def test_settings_that_merely_bear_a_recipes_name_are_refused():
    with pytest.raises(UserError, match=r"cub200/hard_triplet.* dataset = cub200"):
        check(TrainSettings(recipe="cub200/hard_triplet"))
    with pytest.raises(UserError, match="'cub200/none'"):
        check(TrainSettings(recipe="cub200/none"))
    check(load_recipe("cub200/hard_triplet").train_settings({"steps": 5, "seed": 2}))


def test_settings_of_a_recipe_that_make_no_other_experiment_may_be_changed():
    recipe = load_recipe("cub200/hard_triplet")
    settings = recipe.train_settings({"eval_every": 500})
    assert recipe.settings["eval_every"] == 1000
    assert (settings.eval_every, settings.scaled) == (500, False)
    check(settings)


def test_a_recipe_takes_changes_in_the_spelling_of_version_0_1_0():
    assert load_recipe("sop/hard_triplet").train_settings({"augment": "colour"}).augment == "color"


@pytest.mark.parametrize(
    ("changes", "scaled"),
    [
        ({"dataset_options": {"boxes": True}}, True),
        ({"dataset_options": {"boxes": False}}, False),
        ({"dataset_options": {}}, False),
        ({"data": "elsewhere", "seed": 3, "keep_embeddings": True}, False),
        ({"dataset": "csv", "dataset_options": {"csv": "cub.csv"}}, True),
    ],
)
def test_other_pixels_scale_a_recipe_and_another_folder_does_not(changes, scaled):
    assert load_recipe("cub200/semi_hard_triplet").train_settings(changes).scaled is scaled


@pytest.mark.parametrize("name", [name for name in recipe_names() if "resnet50" in name])
def test_recipes_of_current_practice_match_their_titles_and_mark_figures_as_references(name):
    recipe = load_recipe(name)
    assert "strong augmentation" in recipe.title
    assert recipe.settings["augment"] == "strong"
    assert recipe.is_reference == (recipe.published is not None)
    assert recipe.note or not recipe.published
