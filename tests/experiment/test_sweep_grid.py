"""The grid of a sweep: one named, checked setting per run."""

import re

import pytest

from retrieval.errors import UserError
from retrieval.experiment import sweep as module
from retrieval.experiment.session import BASELINE_LOSSES
from retrieval.experiment.sweep import read_grid
from tests.experiment.helpers import runs_of


def test_the_example_of_the_docstring_is_nine_runs(write):
    example = re.search(r"::\n\n(.*?)\n\n", module.__doc__, re.DOTALL).group(1)
    found = runs_of(write(example))
    triplet = [f"semi_hard_triplet-margin{m}-seed{s}" for m in (0.1, 0.2) for s in range(3)]
    assert list(found) == [*triplet, *(f"npairs_loss-seed{s}" for s in range(3))]
    assert found[triplet[4]].loss_options == {"margin": 0.2}
    assert found["npairs_loss-seed2"].loss_options == {}
    assert {(s.dataset, s.freeze_backbone, s.steps) for s in found.values()} == {
        ("grocery", True, 500)
    }
    assert read_grid(write(example)).combinations == 12


def test_the_untrained_network_is_one_run(write):
    grid = {"loss": ["none", "npairs_loss"], "steps": [5, 6], "seed": [0, 1]}
    names = list(runs_of(write({"grid": grid})))
    assert names[0] == "untrained"
    assert len(names) == 5


def test_the_untrained_network_is_one_run_whatever_checkpoint_the_others_use(write):
    grid = {"loss": ["none", "npairs_loss"], "use_checkpoint": ["latest", "best"]}
    found = runs_of(write({"base": {"eval_split": "test"}, "grid": grid}))
    assert len(found) == 3
    assert found["untrained"].use_checkpoint == "latest"


def test_a_learning_rate_for_proxies_is_dropped_for_losses_without_any(write):
    grid = {"loss": ["npairs_loss", "proxy_anchor"]}
    found = runs_of(write({"base": {"loss_multiplier": 3}, "grid": grid}))
    assert [s.loss_multiplier for s in found.values()] == [None, 3]
    with pytest.raises(UserError, match="loss=npairs_loss: --loss-multiplier "):
        read_grid(write({"base": {"loss_multiplier": 3}, "grid": {"loss": ["npairs_loss"]}}))


def test_the_seed_comes_last_in_a_name(write):
    found = runs_of(write({"grid": {"seed": [3], "steps": [5], "loss": ["npairs_loss"]}}))
    assert list(found) == ["npairs_loss-steps5-seed3"]


def test_a_recipe_is_followed(write):
    base = {"recipe": "cub200/hard_triplet", "data": "somewhere"}
    found = runs_of(write({"base": base, "grid": {"seed": [0, 1]}}))
    assert list(found) == ["hard_triplet-seed0", "hard_triplet-seed1"]
    for settings in found.values():
        assert (settings.dataset, settings.backbone) == ("cub200", "inception_v1")
        assert (settings.loss_options, settings.scaled) == ({"margin": 1.0}, False)
    found = runs_of(write({"base": base, "grid": {"steps": [10]}}))
    assert found["hard_triplet-steps10"].scaled


def test_options_of_the_base_and_of_the_grid_are_merged_and_the_grid_wins(write):
    base = {
        "loss_options": {"margin": 0.1, "distance": "cosine"},
        "dataset": "folder",
        "dataset_options": {"test_fraction": 0.3, "split_seed": 0},
    }
    grid = {
        "loss": ["hard_triplet"],
        "loss_options": [{"margin": 0.3}, {"positives": "easiest"}],
        "dataset_options": [{"split_seed": 1}],
    }
    found = list(runs_of(write({"base": base, "grid": grid})).items())
    assert [name for name, _ in found] == [
        "hard_triplet-split_seed1-margin0.3",
        "hard_triplet-split_seed1-positiveseasiest",
    ]
    assert [settings.loss_options for _, settings in found] == [
        {"margin": 0.3, "distance": "cosine"},
        {"margin": 0.1, "distance": "cosine", "positives": "easiest"},
    ]
    for _, settings in found:
        assert settings.dataset_options == {"test_fraction": 0.3, "split_seed": 1}


@pytest.mark.parametrize("part", ["base", "grid"])
def test_an_option_that_a_loss_lacks_and_another_has_is_dropped_from_its_runs(write, part):
    content = {"base": {}, "grid": {"loss": ["none", "hard_triplet", "npairs_loss"]}}
    options = {"margin": 0.3}
    content[part]["loss_options"] = options if part == "base" else [options]
    found = runs_of(write(content)).values()
    assert [settings.loss_options for settings in found] == [{}, options, {}]
    # One that no loss of the sweep has is a mistake.
    options["margn"] = 0.3
    with pytest.raises(UserError, match=r"hard_triplet.*'margn'"):
        read_grid(write(content))


def test_points_of_equal_settings_are_one_run_named_by_the_first(write):
    found = runs_of(write("grid: {seed: [0, 0]}"))
    assert list(found) == ["semi_hard_triplet-seed0"]
    assert read_grid(write("grid: {seed: [0, 0]}")).combinations == 2
    found = runs_of(write("grid: {loss_options: [{margin: 1}, {margin: 1.0}, {margin: 2}]}"))
    assert list(found) == ["semi_hard_triplet-margin1", "semi_hard_triplet-margin2"]
    # Runs that differ in what they store are both wanted.
    assert len(runs_of(write("grid: {keep_embeddings: [false, true]}"))) == 2


@pytest.mark.parametrize("part", ["base", "grid"])
def test_options_of_the_untrained_network_alone_are_refused(write, part):
    content = {"base": {}, "grid": {"loss": ["none"]}}
    content[part]["loss_options"] = {"margin": 1} if part == "base" else [{"margin": 1}]
    with pytest.raises(UserError, match=r"--loss-option.*--loss none"):
        read_grid(write(content))


def test_a_recipe_keeps_its_options_where_the_grids_are_of_another_loss(write):
    base = {"recipe": "cub200/hard_triplet", "data": "somewhere"}
    grid = {"loss": ["hard_triplet", "ntxent"], "loss_options": [{"temperature": 0.5}]}
    found = runs_of(write({"base": base, "grid": grid}))
    assert found["hard_triplet"].loss_options == {"margin": 1.0}
    assert found["ntxent-temperature0.5"].loss_options == {"temperature": 0.5}


@pytest.mark.parametrize("part", ["base", "grid"])
def test_the_loss_all_is_the_untrained_network_and_the_six_losses(write, part):
    content = {"base": {"memory_batches": 0, "loss_options": {}}, "grid": {"seed": [0, 1]}}
    content[part]["loss"] = "all" if part == "base" else ["all"]
    found = runs_of(write(content))
    wanted = {f"{loss}-seed{seed}" for loss in BASELINE_LOSSES for seed in (0, 1)}
    assert set(found) == {"untrained", *wanted}
    assert len(found) == 13


def test_the_untrained_network_has_no_memory(write):
    base = {"memory_batches": 4, "memory_weight": 0.5}
    found = runs_of(write({"base": base, "grid": {"loss": ["none", "ntxent"]}}))
    assert [(s.memory_batches, s.memory_weight) for s in found.values()] == [(0, None), (4, 0.5)]


def test_an_error_names_the_file_and_the_grid_point(write):
    grid = {"loss": ["semi_hard_triplet", "contrastive_loss"], "seed": [3]}
    path = write({"base": {"samples_per_class": 2}, "grid": grid})
    with pytest.raises(UserError) as caught:
        read_grid(path)
    where = f"{path}: loss=contrastive_loss, seed=3: --samples-per-class 2"
    assert str(caught.value).startswith(where)
    path = write("grid: {loss_options: [{margin: 0.1}], steps: [5, many]}")
    with pytest.raises(UserError) as caught:
        read_grid(path)
    assert str(caught.value).startswith(f"{path}: margin=0.1, steps=many: steps = 'many'")
    path = write("base: {steps: many}")
    with pytest.raises(UserError) as caught:
        read_grid(path)
    assert str(caught.value).startswith(f"{path}: steps = 'many'")


def test_numbers_that_yaml_reads_as_text_are_numbers(write):
    found = runs_of(write("grid: {learning_rate: [1e-4, 3e-4]}"))
    assert [s.learning_rate for s in found.values()] == [1e-4, 3e-4]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("grid: [1, 2]", "grid must be a mapping, name: value"),
        ("base: [1, 2]", "base must be a mapping, name: value"),
        ("[1, 2]", "needs the keys `base` and `grid`"),
        ("grid: {steps: 5}", "grid.steps must be a list of one value or more"),
        ("grid: {steps: []}", "grid.steps must be a list of one value or more"),
        ("base: {steps: many}", "steps = 'many': give a whole number"),
        ("base: {seed: zero}", "seed = 'zero': give a whole number"),
        ("base: {freeze_backbone: maybe}", "give true or false"),
        ("grid: {loss_options: [margin]}", "loss_options = 'margin': give a mapping"),
        ("grid: {loss: [npairs_loss], loss_options: [{margin: 1}]}", "option of npairs_loss 'marg"),
        ("grid: {loss: [circle, histogram], loss_options: [{margn: 1}]}", "'margn': did you mean"),
        ("grid: {data: [a/b, a_b]}", "two runs would be called semi_hard_triplet-dataa_b"),
        ("base: {recipe: cub200/x}", "unknown recipe 'cub200/x'"),
        (f"grid: {{data: [{'d' * 250}]}}", "bytes long: give 200 at most"),
        ("bse: {}", "unknown key of"),
        ("{", "not valid YAML"),
    ],
)
def test_a_bad_file_is_one_line(write, text, message):
    with pytest.raises(UserError) as caught:
        read_grid(write(text))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_size_names_a_run_in_one_way_however_it_is_written(write):
    text = "grid: {image_size: [64, 64x32, [64, 32], [32, 64]], loss: [npairs_loss]}"
    found = runs_of(write(text))
    assert {name: settings.image_size for name, settings in found.items()} == {
        "npairs_loss-image_size64": 64,
        "npairs_loss-image_size64x32": "64x32",
        "npairs_loss-image_size32x64": "32x64",
    }


TWO_GRIDS = {
    "base": {"dataset": "grocery", "steps": 60, "loss_options": {"margin": 0.3}},
    "grids": [
        {"name": "features", "grid": {"loss": ["none"]}},
        {
            "name": "head",
            "base": {"freeze_backbone": True, "steps": 500, "loss_options": {"distance": "cosine"}},
            "grid": {"loss": ["hard_triplet", "npairs_loss"], "seed": [0, 1]},
        },
        {"grid": {"loss": ["npairs_loss"]}},
    ],
}


def test_each_of_several_grids_has_settings_and_a_name_of_its_own(write):
    found = runs_of(write(TWO_GRIDS))
    assert list(found) == [
        "features-untrained",
        "head-hard_triplet-seed0",
        "head-hard_triplet-seed1",
        "head-npairs_loss-seed0",
        "head-npairs_loss-seed1",
        "npairs_loss",
    ]
    assert {s.dataset for s in found.values()} == {"grocery"}
    head, whole = found["head-hard_triplet-seed1"], found["npairs_loss"]
    assert (head.steps, head.freeze_backbone, head.seed) == (500, True, 1)
    assert (whole.steps, whole.freeze_backbone) == (60, False)
    # Options are merged, and each loss takes those that it has.
    assert head.loss_options == {"margin": 0.3, "distance": "cosine"}
    assert whole.loss_options == {}
    assert read_grid(write(TWO_GRIDS)).combinations == 6


def test_one_grid_in_a_list_is_the_grid_alone(write):
    base, grid = {"steps": 5}, {"loss": ["all"], "seed": [0, 1]}
    alone = runs_of(write({"base": base, "grid": grid}))
    assert runs_of(write({"grids": [{"base": base, "grid": grid}]})) == alone
    assert len(alone) == 13


def test_a_run_that_two_grids_have_is_made_once_under_the_name_of_the_first(write):
    grid = {"loss": ["npairs_loss"], "seed": [0]}
    file = write({"grids": [{"name": "a", "grid": grid}, {"name": "b", "grid": grid}]})
    assert list(runs_of(file)) == ["a-npairs_loss-seed0"]
    assert read_grid(file).combinations == 2


def test_two_grids_whose_runs_would_share_a_name_are_refused(write):
    grids = [{"base": {"steps": steps}, "grid": {"seed": [0]}} for steps in (5, 6)]
    with pytest.raises(UserError, match=r"semi_hard_triplet-seed0; they differ in steps; .*`name`"):
        read_grid(write({"grids": grids}))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"grid": {"seed": [0]}, "grids": []}, "has `grid` and `grids`"),
        ({"grids": []}, "grids must be a list"),
        ({"grids": None}, "grids must be a list"),
        ({"grids": {"seed": [0]}}, "grids must be a list"),
        ({"grids": [{"seed": [0]}]}, "grid 1 must be a mapping with a `grid`"),
        ({"grids": [{"grid": {}}, 3]}, "grid 2 must be a mapping with a `grid`"),
        ({"grids": [{"grid": {}, "bas": {}}]}, "grid 1.*'bas'.*base"),
        ({"grids": [{"grid": {"seed": 0}, "name": "x"}]}, r"1 \(x\): grid.seed must be a list"),
        ({"grids": [{"grid": {}, "base": [1]}]}, "grid 1: base must be a mapping"),
        ({"grids": [{"grid": {2: [1]}}]}, "grid 1: grid: 2 must be the name of a setting"),
        ({"grids": [{"grid": {}, "name": 5}]}, "grid 1: name must be a text, not 5"),
        ({"grids": [{"grid": {}, "name": "a/b"}]}, r"grid 1 \(a/b\).*without slashes"),
        (
            {"grids": [{"grid": {}}, {"name": "x", "grid": {"loss": ["npairs"]}}]},
            r"grid 2 \(x\): loss=npairs: .*npairs_loss",
        ),
        (
            {"base": {"loss": "npairs_loss"}, "grids": [{"grid": {"seed": [*range(6000)]}}] * 2},
            "the grids have 6,000 \\+ 6,000 = 12,000 combinations: give 10,000 at most",
        ),
    ],
    ids=range(14),
)  # fmt: skip
def test_a_list_of_grids_that_cannot_be_meant_is_refused_in_one_line(write, content, message):
    path = write(content)
    with pytest.raises(UserError, match=message) as caught:
        read_grid(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
