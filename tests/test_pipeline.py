"""From settings to a run folder: whole or not there at all, and the settings do what they say."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from retrieval import TrainSettings, load_catalog, open_run
from retrieval.checkpoints import load_network
from retrieval.embedding import build_network, untrained_network
from retrieval.errors import UserError
from retrieval.finish import evaluate_run
from retrieval.input_pipeline import eval_dataset
from retrieval.models import BACKBONES, build_backbone
from retrieval.pipeline import embed, train
from retrieval.recipes import load_recipe
from retrieval.resolve import check_names, resolve
from retrieval.runs import REQUIRED_FILES, list_runs
from tests.photos import write_colours

pytestmark = pytest.mark.usefixtures("module_cache")


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """Settings of a run of 6 steps on eight classes of six 20 px images."""
    root = write_colours(tmp_path_factory.mktemp("images"), seed=1, scale=40)
    return TrainSettings(
        dataset="folder", data=str(root), backbone="conv4", weights="none", image_size=16,
        embedding_size=8, classes_per_batch=3, samples_per_class=2, steps=6, eval_every=3,
        learning_rate=1e-2, loss="npairs_loss",
    )  # fmt: skip


@pytest.fixture(scope="module")
def run(settings, tmp_path_factory):
    """One finished run."""
    root = tmp_path_factory.mktemp("runs")
    return open_run(train(settings, runs=root, name="one", progress=False))


def files_of(path) -> dict[str, bytes]:
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}


# --- The folder


def test_a_run_folder_is_whole(run, settings):
    catalog = load_catalog("folder", settings.data)
    test = catalog.split("test")
    assert all((run.path / name).exists() for name in REQUIRED_FILES)
    assert run.embeddings.shape == (len(test), settings.embedding_size)
    assert run.embeddings.dtype == np.float32
    assert list(run.items["item"]) == list(test.index)
    assert list(run.items["path"]) == list(test["path"])
    assert list(run.history["step"]) == list(range(1, 7))
    assert len(run.projection) == len(test)
    assert run.thumbnail(0) is not None
    ids = run.neighbours("leave_one_out").ids
    assert len(ids) == len(test)
    assert (ids != np.arange(len(test))[:, None]).all()  # no item is its own neighbour


def test_the_config_says_every_setting_that_was_used(run, settings):
    stored = TrainSettings.from_mapping(run.config["settings"])
    assert stored == resolve(settings, load_catalog("folder", settings.data))
    left_open = {k for k, v in stored.to_mapping().items() if v is None}
    assert left_open <= {"recipe", "pre_crop", "clip_norm", "loss_multiplier"}
    assert set(run.config["provenance"]["seconds"]) == {"train", "embed", "evaluate"}


def test_evaluating_again_gives_the_same_figures(run):
    before, neighbours = files_of(run.path)["metrics.json"], run.neighbours("leave_one_out").ids
    evaluate_run(run.path, progress=False)
    assert files_of(run.path)["metrics.json"] == before
    np.testing.assert_array_equal(open_run(run.path).neighbours("leave_one_out").ids, neighbours)


def test_another_distance_is_named_in_the_figures_and_can_be_taken_back(run):
    before = files_of(run.path)["metrics.json"]
    again = evaluate_run(run.path, distance="euclidean", progress=False)
    assert again.result("leave_one_out")["protocol"]["distance"] == "euclidean"
    evaluate_run(run.path, progress=False)
    assert files_of(run.path)["metrics.json"] == before


def test_embedding_from_the_checkpoint_gives_what_training_ended_with(run):
    before = np.array(run.embeddings)
    embed(run.path, progress=False)
    np.testing.assert_array_equal(open_run(run.path).embeddings, before)


# --- Test-time views


def mean_over_mirrors(path, settings, normalised: bool) -> np.ndarray:
    """Embed the centre and its mirror image by hand."""
    catalog = load_catalog("folder", settings.data)
    settings = resolve(settings, catalog)
    if settings.loss == "none":
        network = untrained_network(settings)
    else:
        network = build_network(settings)
        load_network(path / "checkpoints", network)
    paths = catalog.absolute_paths(catalog.split("test"))
    data = eval_dataset(paths, size=settings.image_size, pre_crop=settings.pre_crop)
    images = np.concatenate([np.asarray(batch) for batch in data])
    views = [np.asarray(network(x, training=False)) for x in (images, images[:, :, ::-1])]
    mean = (views[0] + views[1]) / 2
    return mean / np.linalg.norm(mean, axis=1, keepdims=True) if normalised else mean


@pytest.mark.parametrize("loss", ["npairs_loss", "none"])
@pytest.mark.parametrize("mean", ["normalised", "plain"])
def test_views_are_averaged_as_asked_also_untrained(settings, tmp_path, loss, mean):
    settings = settings.with_(loss=loss, pre_crop=20, test_time="flip", test_time_mean=mean)
    run = open_run(train(settings, runs=tmp_path, progress=False))
    expected = mean_over_mirrors(run.path, settings, mean == "normalised")
    np.testing.assert_allclose(run.embeddings, expected, atol=1e-5)
    assert run.config["settings"]["test_time_mean"] == mean


def test_embedding_again_with_other_views_is_recorded(settings, run, tmp_path):
    path = tmp_path / "folder" / "views"
    shutil.copytree(run.path, path)
    embed(path, test_time="flip", test_time_mean="plain", progress=False)
    again = open_run(path)
    stored = again.config["settings"]
    assert (stored["test_time"], stored["test_time_mean"]) == ("flip", "plain")
    expected = mean_over_mirrors(path, settings, normalised=False)
    np.testing.assert_allclose(again.embeddings, expected, atol=1e-5)
    before = files_of(path)
    with pytest.raises(UserError, match="five_crop cuts views of 16 px out of images of 16 px"):
        embed(path, test_time="five_crop", progress=False)
    assert files_of(path) == before
    embed(path, test_time="none", progress=False)
    np.testing.assert_array_equal(open_run(path).embeddings, run.embeddings)
    assert open_run(path).config == run.config


def test_what_has_no_effect_on_a_frozen_backbone_is_refused(settings, tmp_path):
    frozen = settings.with_(freeze_backbone=True)
    for changes in ({"flip": True}, {"test_time": "flip"}, {"augment": "crop"}):
        with pytest.raises(UserError, match="no effect with --freeze-backbone"):
            train(frozen.with_(**changes), runs=tmp_path, progress=False)
    run = open_run(train(frozen, runs=tmp_path, progress=False))
    assert run.config["settings"]["flip"] is False
    with pytest.raises(UserError, match="--test-time has no effect with --freeze-backbone"):
        embed(run.path, test_time="flip", progress=False)
    recipe = load_recipe("cub200/npairs_loss").train_settings({"freeze_backbone": True})
    check_names(recipe)  # its flip was not the user's choice


# --- All or nothing

STAGES = (
    "retrieval.training.build_ranking_model",
    "retrieval.training.batch_dataset",
    "retrieval.embed_run.embed_images",
    "retrieval.pipeline.write_embeddings",
    "retrieval.finish.evaluate",
    "retrieval.finish.project",
    "retrieval.finish.write_thumbnails",
)


@pytest.mark.parametrize("stage", STAGES)
def test_a_failure_at_any_stage_leaves_an_existing_run_as_it_was(settings, run, monkeypatch, stage):
    def fail(*_args, **_kwargs):
        raise OSError("disk full")

    before, root = files_of(run.path), run.path.parent.parent
    with monkeypatch.context() as patch:
        patch.setattr(stage, fail)
        with pytest.raises(OSError, match="disk full"):
            train(settings.with_(seed=5), runs=root, name="one", overwrite=True, progress=False)
        with pytest.raises(OSError, match="disk full"):
            train(settings.with_(seed=5), runs=root, name="new", progress=False)
    assert files_of(run.path) == before
    assert [r.path.name for r in list_runs(root)] == ["one"]


def test_overwriting_replaces_the_run_at_the_end(settings, tmp_path):
    first = open_run(train(settings, runs=tmp_path, name="x", progress=False))
    old = np.array(first.embeddings)
    with pytest.raises(UserError, match="pass --overwrite"):
        train(settings.with_(seed=1), runs=tmp_path, name="x", progress=False)
    path = train(settings.with_(seed=1), runs=tmp_path, name="x", overwrite=True, progress=False)
    assert np.abs(np.array(open_run(path).embeddings) - old).max() > 0
    assert [p.name for p in path.parent.iterdir()] == ["x"]


def test_without_evaluation_there_is_a_checkpoint_to_embed_from(settings, run, tmp_path):
    path = train(settings, runs=tmp_path, name="later", evaluate=False, progress=False)
    assert not (path / "embeddings.npy").exists()
    with pytest.raises(UserError, match="make them with `retrieval embed"):
        evaluate_run(path)
    embed(path, progress=False)
    np.testing.assert_array_equal(open_run(path).embeddings, run.embeddings)


def test_the_untrained_backbone_is_a_run_too(settings, tmp_path):
    path = train(settings.with_(loss="none"), runs=tmp_path, progress=False)
    untrained = open_run(path)
    assert path.name == "untrained"
    np.testing.assert_allclose(np.linalg.norm(untrained.embeddings, axis=1), 1, rtol=1e-5)
    assert untrained.config["settings"]["loss"] == "none"


# --- What settings do


def network_after(settings, tmp_path, **changes) -> list:
    """Train; return the network of the latest checkpoint."""
    settings = settings.with_(**changes)
    path = train(settings, runs=tmp_path, name="x", overwrite=True, evaluate=False, progress=False)
    network = build_network(resolve(settings, load_catalog("folder", settings.data)))
    load_network(path / "checkpoints", network)
    return network


def parts(network) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the trainable weights of backbone and head."""
    return tuple(
        [np.array(v) for v in network.get_layer(name).trainable_variables]
        for name in ("backbone", "head")
    )


def distance(one: list[np.ndarray], other: list[np.ndarray]) -> float:
    return max(np.abs(a - b).max() for a, b in zip(one, other, strict=True))


def test_multipliers_and_held_steps_act_on_the_backbone_alone(settings, tmp_path):
    adamw = {"optimizer": "adamw", "weight_decay": 0.5, "steps": 3}
    start = parts(network_after(settings, tmp_path, **adamw | {"learning_rate": 1e-12}))
    for changes in ({"backbone_multiplier": 0.0}, {"freeze_steps": 3}):
        backbone, head = parts(network_after(settings, tmp_path, **adamw, **changes))
        # Weight decay must not move a held backbone either.
        assert distance(backbone, start[0]) < 1e-6
        assert distance(head, start[1]) > 1e-3
    backbone, _ = parts(network_after(settings, tmp_path, **adamw, freeze_steps=2))
    # Adam's first step of a part that opens late is no larger than its others.
    assert 1e-3 < distance(backbone, start[0]) < 2 * settings.learning_rate


def test_batch_norms_of_a_pretrained_backbone_are_fixed_unless_asked_otherwise(
    settings, tmp_path, monkeypatch
):
    monkeypatch.setitem(BACKBONES, "conv4", replace(BACKBONES["conv4"], pretrained=True))
    weights = tmp_path / "pretrained.weights.h5"
    build_backbone("conv4", settings.image_size, weights=None).save_weights(weights)
    settings = settings.with_(weights=str(weights))

    def statistics(**changes):
        network = network_after(settings, tmp_path, **changes)
        return {
            v.path: np.array(v)
            for v in network.get_layer("backbone").variables
            if "moving" in v.path
        }

    held, free = statistics(), statistics(freeze_batch_norm=False)
    assert held
    for (path, a), b in zip(held.items(), free.values(), strict=True):
        assert np.abs(a - ("variance" in path)).max() == 0
        assert np.abs(a - b).max() > 0


def test_in_training_figures_go_to_tensorboard(settings, tmp_path):
    path = train(
        settings.with_(tensorboard=True, eval_split="test"), runs=tmp_path, evaluate=False,
        progress=False,
    )  # fmt: skip
    events = b"".join(p.read_bytes() for p in path.rglob("events.out.tfevents*"))
    for name in (b"epoch_loss", b"epoch_recall@1", b"epoch_learning_rate"):
        assert name in events


def test_another_seed_gives_other_batches_and_the_same_seed_the_same(settings, run, tmp_path):
    def losses(**changes):
        path = train(settings.with_(**changes), runs=tmp_path, evaluate=False, progress=False)
        return (path / "history.csv").read_text()

    assert losses(seed=0) == (run.path / "history.csv").read_text()
    assert losses(seed=1) != losses(seed=2)


def test_metrics_are_plain_json(run):
    def refuse(constant):
        raise AssertionError(constant)

    json.loads((run.path / "metrics.json").read_text(), parse_constant=refuse)
