"""Recipes: eighteen published experiments, each a valid setting with its published figures."""

import pytest

from retrieval.datasets.catalog import make_catalog
from retrieval.errors import UserError
from retrieval.losses import LOSSES as REGISTERED
from retrieval.losses import recommended_options
from retrieval.models import BACKBONES
from retrieval.settings.checks import check
from retrieval.settings.recipes import load_recipe, recipe_names
from retrieval.settings.resolve import resolve
from retrieval.settings.schema import TrainSettings
from retrieval.training.optimizers import build_schedule

# What the baseline published, and the settings it was really run with: a wrong cell of a recipe
# fails here. Read from its README, its training script and the names of its runs.
LOSSES = ("semi_hard_triplet", "hard_triplet", "lifted_loss", "npairs_loss", "angular_loss",
          "contrastive_loss")  # fmt: skip
PUBLISHED = {  # NMI, Recall@1, Recall@4 of LOSSES, leave-one-out
    "inshop": ((0.902, 0.8743, 0.9542), (0.904, 0.8838, 0.9574), (0.903, 0.8732, 0.9559),
               (0.903, 0.8912, 0.9613), (0.8931, 0.8470, 0.9232), (0.826, 0.4409, 0.6717)),
    "cub200": ((0.587, 0.4903, 0.7343), (0.561, 0.4655, 0.7103), (0.502, 0.3526, 0.5982),
               (0.573, 0.4652, 0.5926), (0.546, 0.4550, 0.6843), (0.476, 0.3727, 0.6239)),
    "sop": ((0.893, 0.7122, 0.8177), (0.895, 0.7203, 0.8255), (0.889, 0.6826, 0.7972),
            (0.893, 0.7260, 0.8259), (0.878, 0.6030, 0.7278), (0.825, 0.1905, 0.3228)),
}  # fmt: skip
BATCHES = {  # classes x images per class, of LOSSES
    "inshop": ((10, 6), (10, 6), (10, 6), (30, 2), (30, 2), (15, 4)),
    "cub200": ((20, 6), (20, 6), (20, 6), (60, 2), (60, 2), (30, 4)),
    "sop": ((20, 6), (20, 6), (20, 6), (60, 2), (60, 2), (30, 4)),
}
OF_THE_DATASET = {
    "inshop": {
        "backbone": "densenet169", "head": "fc1024", "optimizer": "adam", "epsilon": 1e-8,
        "steps": 25_000, "schedule": "polynomial",
    },
    "cub200": {
        "backbone": "inception_v1", "head": "direct", "optimizer": "momentum",
        "steps": 10_000, "schedule": "constant",  # decay starts at 15,000, which is never reached
    },
    "sop": {
        "backbone": "inception_v1", "head": "direct", "optimizer": "adam", "epsilon": 1e-8,
        "steps": 30_000, "schedule": "polynomial",
    },
}  # fmt: skip
OF_THE_LOSS = {  # normalized, options
    "semi_hard_triplet": (True, {"margin": 0.2}),
    "hard_triplet": (False, {"margin": 1.0}),
    "lifted_loss": (False, {"margin": 1.0}),
    "npairs_loss": (False, {"regularizer": 0.002}),
    "angular_loss": (True, {"degree": 45.0, "form": "softmax", "regularizer": 0.002}),
    "contrastive_loss": (True, {"margin": 1.0, "pairs": "blocks"}),
}
OF_ALL = {
    "embedding_size": 128, "image_size": 224, "pre_crop": 256, "flip": True, "augment": "none",
    "learning_rate": 3e-4, "warmup_steps": 0, "weight_decay": 0.0, "clip_norm": None,
    "freeze_batch_norm": False, "freeze_steps": 0, "backbone_multiplier": 1.0,
    "memory_batches": 0, "weights": "imagenet", "distance": "euclidean", "eval_every": 1_000,
}  # fmt: skip


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_is_a_valid_setting_of_its_data_set_and_loss(name):
    recipe = load_recipe(name)
    settings = recipe.train_settings({"data": "somewhere"})
    assert name.startswith(settings.dataset + "/")
    assert settings.loss in REGISTERED
    assert settings.loss in name
    assert settings.backbone in BACKBONES
    assert (settings.recipe, settings.scaled) == (name, False)


@pytest.mark.parametrize("dataset", PUBLISHED)
@pytest.mark.parametrize("loss", LOSSES)
def test_a_recipe_of_the_baseline_is_the_experiment_that_was_run(dataset, loss):
    recipe, row = load_recipe(f"{dataset}/{loss}"), LOSSES.index(loss)
    settings = recipe.train_settings()
    nmi, at_1, at_4 = PUBLISHED[dataset][row]
    assert recipe.published.metrics == {"nmi": nmi, "recall@1": at_1, "recall@4": at_4}
    assert recipe.published.protocol == "leave_one_out"
    assert not recipe.published.reference
    assert (settings.classes_per_batch, settings.samples_per_class) == BATCHES[dataset][row]
    normalize, options = OF_THE_LOSS[loss]
    assert settings.normalize is normalize
    assert recommended_options(loss) | settings.loss_options == (
        recommended_options(loss) | options
    )
    wanted = {"dataset": dataset, "loss": loss} | OF_ALL | OF_THE_DATASET[dataset]
    assert {name: getattr(settings, name) for name in wanted} == wanted


@pytest.mark.parametrize("loss", LOSSES)
def test_what_is_inferred_or_departs_is_said_beside_the_figure(loss):
    note = load_recipe(f"inshop/{loss}").note
    assert "DenseNet169" in note
    assert ("inferred" in note) == (
        loss in ("semi_hard_triplet", "angular_loss", "contrastive_loss")
    )
    rate = build_schedule("polynomial", 3e-4, 25_000)
    assert float(rate(0)) == pytest.approx(3e-4)
    assert float(rate(12_500)) == pytest.approx((3e-4 + 1e-7) / 2)
    assert float(rate(25_000)) == pytest.approx(1e-7)


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
