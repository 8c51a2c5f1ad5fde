"""Recipes: published experiments, each a valid setting with its source and published figures."""

import pytest

from retrieval.datasets.catalog import make_catalog
from retrieval.errors import UserError
from retrieval.losses import LOSSES as REGISTERED
from retrieval.losses import recommended_options
from retrieval.models import BACKBONES
from retrieval.runs.names import UNTRAINED_NAME
from retrieval.settings.checks import check
from retrieval.settings.recipes import load_recipe, recipe_names
from retrieval.settings.resolve import resolve
from retrieval.settings.schema import UNTRAINED, TrainSettings
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
    assert settings.loss in (*REGISTERED, UNTRAINED)
    assert (UNTRAINED_NAME if settings.loss == UNTRAINED else settings.loss) in name
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
        ({"image_size": "112"}, 128),
        ({"image_size": "112x56"}, "128x64"),
        ({"image_size": (112, 56)}, "128x64"),
        ({"image_size": "112x56", "pre_crop": 112}, 112),
        ({"image_size": 112, "pre_crop": 112}, 112),
        ({"image_size": 112, "pre_crop": None}, None),
    ],
)
def test_a_smaller_image_still_shows_as_much_of_the_photo(changes, pre_crop):
    assert load_recipe("cub200/semi_hard_triplet").train_settings(changes).pre_crop == pre_crop


@pytest.mark.parametrize("size", ["0", "-5", "256x0", "1e300", "9" * 400, "224px"])
def test_a_wrong_image_size_is_named_rather_than_the_pre_crop_that_goes_with_it(size):
    with pytest.raises(UserError, match=r"^image_size = "):
        load_recipe("cub200/semi_hard_triplet").train_settings({"image_size": size})


@pytest.mark.parametrize(
    ("changes", "freeze_steps", "decay_every"),
    [
        ({}, 240, 240),
        ({"steps": 720}, 60, 60),
        ({"steps": 10_000}, 240, 240),
        ({"steps": 720, "freeze_steps": 0}, 0, 60),
        ({"steps": 4}, 0, 1),
    ],
)
def test_fewer_steps_leave_as_large_a_part_of_the_training(changes, freeze_steps, decay_every):
    recipe = load_recipe("cub200/resnet50_proxy_anchor")
    assert recipe.settings["steps"] == 2_880
    settings = recipe.train_settings(changes)
    assert (settings.freeze_steps, settings.decay_every) == (freeze_steps, decay_every)
    small = load_recipe("grocery/efficientnet_lite0_multi_similarity")
    assert [small.train_settings({"steps": n}).warmup_steps for n in (300, 150)] == [20, 10]


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


# --- Current practice: settings and figures as their authors published them

# What the authors' code sets, per loss: Kim et al. 2020 (tjddus9597/Proxy-Anchor-CVPR2020, README
# and code/), Wang et al. 2019 (msight-tech/research-ms-loss, configs/example_resnet50.yaml and
# ret_benchmark/config/defaults.py), Patel et al. 2022 (yash0307/RecallatK_surrogate, src/), and
# Ermolov et al. 2022 (htdt/hyp_metric, README and train.py).
IMAGES = {"cub200": 5864, "cars196": 8054, "sop": 59_551, "inshop": 25_882}  # for training
OF_RESNET50 = {
    "backbone": "resnet50", "head": "direct", "embedding_size": 512, "normalize": True,
    "pre_crop": 256, "flip": True, "augment": "crop", "epsilon": 1e-8, "schedule": "step",
    "warmup_steps": 0, "backbone_multiplier": 1.0, "clip_norm": None, "weights": "imagenet",
}  # fmt: skip
PRACTICE = {
    "resnet50_proxy_anchor": OF_RESNET50 | {
        "loss_options": {"margin": 0.1, "scale": 32.0}, "loss_multiplier": 100.0,
        "pooling": "average+max", "image_size": 224, "crop_area": 0.08, "optimizer": "adamw",
        "weight_decay": 1e-4, "chunk_size": 0,
    },
    "resnet50_multi_similarity": OF_RESNET50 | {
        "loss_options": {"alpha": 2.0, "beta": 40.0, "threshold": 0.5, "epsilon": 0.1},
        "pooling": "average", "image_size": 227, "crop_area": 0.16, "optimizer": "adam",
        "learning_rate": 3e-5, "weight_decay": 5e-4, "freeze_batch_norm": True,
        "freeze_steps": 0, "decay_factor": 0.1, "classes_per_batch": 16, "samples_per_class": 5,
    },
    "resnet50_recall_at_k": OF_RESNET50 | {
        "loss_options": {
            "ks": [1, 2, 4, 8, 16], "rank_temperature": 0.01, "recall_temperature": 1.0,
        },
        "pooling": "gem", "image_size": 224, "crop_area": 0.08, "optimizer": "adam",
        "weight_decay": 4e-4, "freeze_batch_norm": True, "freeze_steps": 0, "decay_factor": 0.3,
        "samples_per_class": 4,
    },
    "dinov2_small_ntxent": {
        "loss_options": {"temperature": 0.1}, "backbone": "dinov2_small", "head": "direct",
        "embedding_size": 128, "normalize": True, "image_size": 224, "flip": True,
        "augment": "crop", "crop_area": 0.2, "optimizer": "adamw", "learning_rate": 1e-5,
        "weight_decay": 0.01, "clip_norm": 3.0, "schedule": "constant", "freeze_steps": 0,
    },
}  # fmt: skip
SMALL, LARGE, SHOP = (1, 2, 4, 8), (1, 10, 100, 1000), (1, 10, 20, 30, 40)
# Per recipe: batch; epochs of the whole training, of the frozen backbone, between two decays; what
# else differs; K and recall of the published figures, None if there are none.
CELLS = {
    "cub200/resnet50_proxy_anchor": (
        120, (60, 5, 5), {"learning_rate": 1e-4, "decay_factor": 0.5, "freeze_batch_norm": True},
        SMALL, (69.9, 79.6, 86.6, 91.4)),
    "cars196/resnet50_proxy_anchor": (
        120, (60, 5, 10), {"learning_rate": 1e-4, "decay_factor": 0.5, "freeze_batch_norm": True},
        SMALL, (87.7, 92.7, 95.5, 97.3)),
    "sop/resnet50_proxy_anchor": (
        180, (60, 1, 20), {"learning_rate": 6e-4, "decay_factor": 0.25, "freeze_batch_norm": False},
        LARGE, (79.2, 90.7, 96.2, 98.6)),
    "inshop/resnet50_proxy_anchor": (
        180, (60, 1, 20), {"learning_rate": 6e-4, "decay_factor": 0.25, "freeze_batch_norm": False},
        SHOP, (91.9, 98.1, 98.7, 99.0, 99.1)),
    "cub200/resnet50_multi_similarity": (
        80, None, {"steps": 3000, "decay_every": 1200}, SMALL, (65.7, 77.0, 86.3, 91.2)),
    "cars196/resnet50_multi_similarity": (
        80, None, {"steps": 4120, "decay_every": 1648}, SMALL[:3], (84.1, 90.4, 94.0)),
    "sop/resnet50_multi_similarity": (
        80, None, {"steps": 30_470, "decay_every": 12_188}, LARGE[:3], (78.2, 90.5, 96.0)),
    "inshop/resnet50_multi_similarity": (
        80, None, {"steps": 13_240, "decay_every": 5296}, SHOP[:3], (89.7, 97.9, 98.5)),
    "cub200/resnet50_recall_at_k": (
        400, (40, 0, 10), {"learning_rate": 1e-4, "chunk_size": 100}, None, None),
    "cars196/resnet50_recall_at_k": (
        392, (170, 0, 70), {"learning_rate": 1e-4, "chunk_size": 98},
        SMALL, (80.7, 88.3, 92.8, 95.7)),
    "sop/resnet50_recall_at_k": (
        4000, (55, 0, 25), {"learning_rate": 2e-4, "chunk_size": 200}, (1,), (82.7,)),
    "cub200/dinov2_small_ntxent": (
        900, None, {"classes_per_batch": 100, "pre_crop": 256, "steps": 50},
        SMALL[:3], (78.3, 86.0, 91.2)),
    "cars196/dinov2_small_ntxent": (
        882, None, {"classes_per_batch": 98, "pre_crop": 224, "steps": 300},
        SMALL[:3], (86.0, 91.9, 95.2)),
    "sop/dinov2_small_ntxent": (
        900, None, {"classes_per_batch": 450, "pre_crop": 224, "steps": 200 * 25},
        LARGE[:3], (84.6, 94.1, 97.7)),
    "inshop/dinov2_small_ntxent": (
        900, None, {"classes_per_batch": 450, "pre_crop": 224, "steps": 400 * 8},
        SHOP[:3], (92.6, 98.4, 99.0)),
}  # fmt: skip
SOURCES = {
    "proxy_anchor": "tjddus9597/Proxy-Anchor-CVPR2020",
    "multi_similarity": "msight-tech/research-ms-loss",
    "recall_at_k": "yash0307/RecallatK_surrogate",
    "ntxent": "htdt/hyp_metric",
}


def test_every_recipe_names_its_source_and_every_one_of_current_practice_is_compared():
    for name in recipe_names():
        assert load_recipe(name).source, name
    wanted = {n for n in recipe_names() if n.split("/")[1] in PRACTICE}
    assert wanted == set(CELLS)
    of_baseline = [load_recipe(f"{d}/{loss}") for d in PUBLISHED for loss in LOSSES]
    assert all("ahmdtaha/tf_retrieval_baseline" in recipe.source for recipe in of_baseline)


@pytest.mark.parametrize("name", CELLS)
def test_a_recipe_of_current_practice_has_the_settings_its_authors_published(name):
    batch, epochs, others, _, _ = CELLS[name]
    recipe, (dataset, kind) = load_recipe(name), name.split("/")
    settings = recipe.train_settings()
    check(settings)
    wanted = {"dataset": dataset} | PRACTICE[kind] | others
    if epochs is not None:  # an epoch is the whole batches that the training images fill
        names = ("steps", "freeze_steps", "decay_every")
        wanted |= {n: e * (IMAGES[dataset] // batch) for n, e in zip(names, epochs, strict=True)}
    assert {key: getattr(settings, key) for key in wanted} == wanted
    assert settings.classes_per_batch * settings.samples_per_class == batch
    assert SOURCES[settings.loss] in recipe.source


@pytest.mark.parametrize("name", CELLS)
def test_a_recipe_of_current_practice_has_the_figures_and_the_protocol_of_its_source(name):
    recipe, (_, _, _, ks, recalls) = load_recipe(name), CELLS[name]
    assert recipe.note
    if ks is None:
        assert recipe.published is None
        return
    assert recipe.published.metrics == pytest.approx(
        {f"recall@{k}": recall / 100 for k, recall in zip(ks, recalls, strict=True)}
    )
    protocol = "query_gallery" if name.startswith("inshop/") else "leave_one_out"
    assert (recipe.published.protocol, recipe.is_reference) == (protocol, True)


@pytest.mark.parametrize("name", [n for n in CELLS if "chunk_size" in load_recipe(n).settings])
def test_a_batch_that_is_embedded_in_chunks_says_what_memory_it_needs(name):
    assert "GiB" in load_recipe(name).note


# --- Data sets with a protocol of their own

EPOCHS = {  # training images, epochs, of warm-up, of the frozen backbone
    "market1501/resnet50_hard_triplet": (12_936, 120, 10, 0),
    "veri776/resnet50_hard_triplet": (37_778, 60, 10, 10),
    "inaturalist2018/resnet50_smooth_ap": (325_846, 90, 0, 0),
    "rp2k/resnet50_proxy_anchor_of_sop": (188_724, 20, 0, 1),
}


@pytest.mark.parametrize("name", EPOCHS)
def test_epochs_are_whole_batches_that_the_training_images_fill(name):
    images, *epochs = EPOCHS[name]
    settings = load_recipe(name).train_settings()
    each = images // (settings.classes_per_batch * settings.samples_per_class)
    steps = [settings.steps, settings.warmup_steps, settings.freeze_steps]
    assert steps == [each * n for n in epochs]


@pytest.mark.parametrize("name", [n for n in recipe_names() if n.endswith("_untrained")])
def test_a_data_set_without_a_training_split_is_evaluated_with_a_pretrained_network(name):
    settings = load_recipe(name).train_settings({"data": "somewhere", "image_size": 64})
    check(settings)
    assert (settings.loss, settings.weights, settings.pooling) == ("none", "imagenet", "gem")
