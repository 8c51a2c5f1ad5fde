"""Recipes: eighteen published experiments, each a valid setting with its published figures."""

import pytest

from retrieval.errors import UserError
from retrieval.losses import LOSSES
from retrieval.models import BACKBONES
from retrieval.recipes import load_recipe, recipe_names
from retrieval.training_session import BASELINE_LOSSES


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
        assert set(published) == {"protocol", "nmi", "recall@1", "recall@4"}
        assert 0 < published["recall@1"] < published["recall@4"] < 1


def test_a_recipe_that_was_changed_says_so():
    recipe = load_recipe("cub200/semi_hard_triplet")
    assert recipe.settings["steps"] == 10_000
    assert recipe.train_settings({"steps": 10_000}).scaled is False
    assert recipe.train_settings({"steps": 50}).scaled is True


def test_an_unknown_recipe_names_the_closest():
    with pytest.raises(UserError, match="did you mean 'cub200/npairs_loss'"):
        load_recipe("cub200/npair_loss")
