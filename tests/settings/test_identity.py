"""Reports, the app, sweeps and resumed runs agree on which settings make another experiment."""

from types import SimpleNamespace

import pytest

from retrieval.datasets.catalog import make_catalog
from retrieval.errors import UserError
from retrieval.experiment.pipeline import check_finished
from retrieval.report.sections import group_runs
from retrieval.runs.resume import prepare_partial
from retrieval.runs.writing import run_config, write_config
from retrieval.settings.identity import (
    OF_THE_LOSS,
    differing,
    experiment_key,
    same_experiment,
    what_matters,
)
from retrieval.settings.schema import TrainSettings
from workbench.analysis.naming import group_titles

OTHER = {
    "recipe": "cub200/hard_triplet", "scaled": True, "dataset": "digits", "data": "elsewhere",
    "dataset_options": {"subset": "sample"}, "pre_crop": 300, "image_size": 96, "flip": True,
    "augment": "crop", "crop_area": 0.2, "skip_unreadable": True, "cache_images_gb": 9.0,
    "loss": "npairs_loss", "loss_options": {"margin": 0.123}, "memory_batches": 2,
    "memory_start": 7, "memory_weight": 0.5, "classes_per_batch": 9, "samples_per_class": 4,
    "same_super_class": True, "matryoshka": "16",
    "backbone": "conv4", "weights": "none", "head": "fc1024", "pooling": "gem",
    "lora_rank": 4, "lora_layers": "fc1", "layer_decay": 0.75,
    "embedding_size": 64, "normalize": False, "freeze_backbone": True, "freeze_batch_norm": False,
    "freeze_batch_norm_steps": 11, "freeze_steps": 12,
    "steps": 400, "optimizer": "momentum", "epsilon": 1e-8, "learning_rate": 0.1,
    "schedule": "cosine", "decay_every": 7, "decay_factor": 0.5,
    "warmup_steps": 5, "weight_decay": 0.01, "clip_norm": 1.0,
    "backbone_multiplier": 0.5, "loss_multiplier": 2.0, "mixed_precision": True, "chunk_size": 10,
    "check_memory": False,
    "distribute": "mirrored", "workers": 3, "seed": 5,
    "eval_split": "validation", "validation_fraction": 0.3, "eval_every": 100, "monitor": "map@r",
    "patience": 3, "use_checkpoint": "best", "keep_embeddings": True, "tensorboard": True,
    "distance": "euclidean", "test_time": "flip", "test_time_mean": "plain",
}  # fmt: skip
ALWAYS_THE_SAME_RUN = {
    "recipe", "scaled", "skip_unreadable", "cache_images_gb", "check_memory", "keep_embeddings",
    "tensorboard", "workers",
    "lora_layers",  # without LoRA
}  # fmt: skip
OF_THE_STEP_SCHEDULE_AND_CROPS = {"decay_every", "decay_factor", "crop_area"}
# Situation -> its settings, and those that make no other experiment in it, beyond the above.
SITUATIONS = {
    "as by default": (
        {},
        {*OF_THE_STEP_SCHEDULE_AND_CROPS, "seed", "data", "memory_start", "memory_weight",
         "chunk_size", "distribute",
         "validation_fraction", "eval_every", "monitor"},
    ),
    "evaluated without consequence": (
        {"eval_split": "test"},
        {*OF_THE_STEP_SCHEDULE_AND_CROPS, "seed", "data", "memory_start", "memory_weight",
         "chunk_size", "distribute",
         "validation_fraction", "eval_every", "monitor"},
    ),
    "the best checkpoint, on held-out classes": (
        {"eval_split": "validation", "use_checkpoint": "best"},
        {*OF_THE_STEP_SCHEDULE_AND_CROPS, "seed", "data", "memory_start", "memory_weight",
         "chunk_size", "distribute"},
    ),
    "a memory, trained batch norms, views, decays, crops": (
        {"memory_batches": 1, "freeze_batch_norm": False, "test_time": "center",
         "schedule": "step", "augment": "strong"},
        {"seed", "data", "validation_fraction", "eval_every", "monitor"},
    ),
    "the user's own images": (
        {"dataset": "folder", "data": "photos"},
        {*OF_THE_STEP_SCHEDULE_AND_CROPS, "seed", "memory_start", "memory_weight",
         "chunk_size", "distribute",
         "validation_fraction", "eval_every", "monitor"},
    ),
    "untrained": (
        {"loss": "none"},
        set(OTHER) - {"dataset", "dataset_options", "pre_crop", "image_size", "loss", "backbone",
                      "weights", "pooling", "distance", "test_time", "test_time_mean"},
    ),
}  # fmt: skip


def test_every_setting_is_tried():
    assert set(OTHER) == set(TrainSettings.model_fields)


# Settings without which another one is refused.
NEEDED = {
    "test_time_mean": {"test_time": "center"},
    "workers": {"distribute": "workers", "workers": 2},
    "patience": {"eval_split": "test"},
    "use_checkpoint": {"eval_split": "test"},
}
ELSE = {
    "freeze_batch_norm": True,
    "use_checkpoint": "latest",
    "eval_split": "test",
}  # where a situation has the other value


def changed_one_by_one(situation):
    """Yield every setting's name, with settings of a situation and others that differ in it."""
    given, _ = SITUATIONS[situation]
    for name, value in OTHER.items():
        one = TrainSettings(**NEEDED.get(name, {}) | given)
        if getattr(one, name) == value:
            value = ELSE[name]
        if name == "dataset_options" and one.dataset == "folder":
            value = {"split_seed": 3}
        yield name, one, one.with_(**{name: value})


@pytest.mark.parametrize("situation", SITUATIONS)
def test_each_setting_makes_another_experiment_or_not_as_the_table_says(situation):
    pairs = changed_one_by_one(situation)
    same = {name for name, one, other in pairs if same_experiment(one, other)}
    assert same == SITUATIONS[situation][1] | ALWAYS_THE_SAME_RUN


@pytest.fixture
def catalog(tmp_path):
    return make_catalog(
        "cub200",
        tmp_path,
        path=[f"{n}.jpg" for n in range(4)],
        label=[0, 0, 1, 1],
        label_name=["a", "a", "b", "b"],
        split=["train", "train", "test", "test"],
    )


@pytest.mark.slow
@pytest.mark.parametrize("situation", SITUATIONS)
def test_reports_the_app_sweeps_and_interrupted_runs_agree_on_every_setting(
    situation, catalog, tmp_path
):
    for number, (name, one, other) in enumerate(changed_one_by_one(situation)):
        same = same_experiment(one, other)
        assert (experiment_key(one) == experiment_key(other)) is same, name
        assert set(differing(one, other)) == (set() if same and name != "seed" else {name}), name

        runs = [
            SimpleNamespace(name="x", settings=one),
            SimpleNamespace(name="x-seed6", settings=other.with_(seed=6)),
        ]
        assert len(group_runs(runs)) == (1 if same else 2), f"report, {name}"
        assert len(set(group_titles(runs).values())) == (1 if same else 2), f"app, {name}"

        same_run = same and name != "seed"
        finished, interrupted = tmp_path / f"{number}", tmp_path / f"{number}.partial"
        (interrupted / "checkpoints").mkdir(parents=True)
        (interrupted / "checkpoints" / "index.json").touch()
        finished.mkdir()
        config = run_config(one, catalog, {})
        for folder in (finished, interrupted):
            write_config(folder, config)
        for accept, folder in ((check_finished, finished), (prepare_partial, interrupted)):
            if same_run:
                accept(folder, other, catalog)
            else:
                with pytest.raises(UserError, match=f"{name} = "):
                    accept(folder, other, catalog)


def test_runs_that_differ_in_tensorboard_alone_are_one_group_everywhere():
    one, other = TrainSettings(), TrainSettings(tensorboard=True)
    assert differing(one, other) == []
    assert differing(one, other.with_(seed=1)) == ["seed"]
    assert same_experiment(one, other.with_(seed=1))


def test_naming_a_default_of_the_data_set_changes_nothing():
    spelled_out = TrainSettings(dataset_options={"subset": "letters"}, data="data/typefaces")
    assert same_experiment(TrainSettings(), spelled_out)
    assert same_experiment(
        TrainSettings(dataset="folder", data="photos"),
        TrainSettings(dataset="folder", data="./photos/"),
    )


def test_equal_numbers_are_equal_settings():
    one, other = ({"margin": 1, "ks": [1, 2]}, {"ks": [1.0, 2.0], "margin": 1.0})
    assert experiment_key(TrainSettings(loss_options=one)) == experiment_key(
        TrainSettings(loss_options=other)
    )


def test_settings_of_a_version_whose_data_set_is_gone_can_be_compared():
    one = TrainSettings(dataset="gone", data="a")
    assert what_matters(one)["data"] == "a"
    assert differing(one, one.with_(data="b")) == ["data"]


def test_the_settings_that_belong_to_the_loss():
    assert set(OF_THE_LOSS) == {
        "loss", "loss_options", "loss_multiplier", "classes_per_batch", "samples_per_class",
        "normalize",
    }  # fmt: skip


def test_another_data_set_under_the_same_name_is_not_the_same_run(catalog, tmp_path):
    settings, folder = TrainSettings(dataset="cub200"), tmp_path / "run"
    folder.mkdir()
    config = run_config(settings, catalog, {})
    for change, named in (({"n_test": 9}, "n_test"), ({"options": {"boxes": True}}, "options")):
        write_config(folder, config | {"dataset": config["dataset"] | change})
        with pytest.raises(UserError, match=f"{named}"):
            check_finished(folder, settings, catalog)
    write_config(folder, config | {"dataset": config["dataset"] | {"root": "/elsewhere"}})
    check_finished(folder, settings, catalog)


def test_a_size_written_otherwise_is_the_same_experiment_and_a_turned_one_is_not():
    one = TrainSettings(image_size=(64, 32))
    assert same_experiment(one, TrainSettings(image_size="64x32"))
    assert experiment_key(one) == experiment_key(TrainSettings(image_size=[64, 32]))
    assert differing(one, TrainSettings(image_size="32x64")) == ["image_size"]
    assert same_experiment(TrainSettings(image_size=64), TrainSettings(image_size="64x64"))
