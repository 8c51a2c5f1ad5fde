"""The registry: names, recommended settings, options refused by name."""

import re
import subprocess
import sys
from pathlib import Path

import keras
import pytest

from retrieval.errors import UserError
from retrieval.losses import (
    LOSSES,
    check_loss_options,
    get_loss,
    hint,
    loss_class,
    recommended_options,
)

ROOT = Path(__file__).parents[2]
BASELINE = {
    # name: normalized, P, K
    "hard_triplet": (False, 20, 6),
    "semi_hard_triplet": (True, 20, 6),
    "lifted_loss": (False, 20, 6),
    "npairs_loss": (False, 60, 2),
    "angular_loss": (True, 60, 2),
    "contrastive_loss": (True, 30, 4),
}


@pytest.mark.parametrize("name", BASELINE)
def test_recommended_settings_are_the_published_ones(name):
    entry = LOSSES[name]
    setting = (entry.normalize, entry.classes_per_batch, entry.samples_per_class)
    assert setting == BASELINE[name]


def test_recommended_margins():
    hard = {"margin": 1.0, "distance": "euclidean", "positives": "hardest"}
    assert recommended_options("hard_triplet") == hard
    assert recommended_options("semi_hard_triplet") == {"margin": 0.2}
    assert recommended_options("lifted_loss") == {"margin": 1.0}
    contrastive = {"margin": 1.0, "pairs": "blocks", "power": 2}
    assert recommended_options("contrastive_loss") == contrastive
    angular = {"degree": 45.0, "form": "softmax", "regularizer": 0.0}
    assert recommended_options("angular_loss") == angular


BETTER = {name: entry.better for name, entry in LOSSES.items() if entry.better is not None}


@pytest.mark.parametrize("name", BETTER)
def test_a_better_setting_is_measured_against_the_definition_of_a_baseline_loss(name):
    better = BETTER[name]
    assert name in BASELINE  # of all other losses, the default is the setting that works best
    defaults = recommended_options(name)
    assert {option: defaults[option] for option in better.options} == better.definition
    get_loss(name, **better.options)
    assert better.recall > better.definition_recall
    table = (ROOT / "benchmarks/results/loss_settings.md").read_text()
    setting = ", ".join(f"{k} {v}" for k, v in better.options.items())
    for cells, value in (("default", better.definition_recall), (setting, better.recall)):
        assert f"| {name} | {cells} | {value:.3f} |" in table


def test_a_hint_names_the_flags_and_both_figures():
    line = hint("contrastive_loss", {})
    better = LOSSES["contrastive_loss"].better
    for text in (*(f"--loss-option {k}={v}" for k, v in better.options.items()),
                 f"{better.recall:.3f}", f"{better.definition_recall:.3f}"):  # fmt: skip
        assert text in line
    assert hint("contrastive_loss", better.definition) == line
    assert hint("contrastive_loss", better.options) is None
    assert hint("contrastive_loss", {"pairs": "all"}) is None
    assert hint("proxy_anchor", {}) is hint("none", {}) is None


def test_layouts_fit_the_recommended_batches():
    for entry in LOSSES.values():
        if entry.layout == "pairs":
            assert entry.samples_per_class % 2 == 0
        if entry.layout == "blocks":
            assert entry.samples_per_class == 4


@pytest.mark.parametrize("name", LOSSES)
def test_every_entry_is_a_keras_loss_named_and_registered(name):
    loss = get_loss(name)
    assert isinstance(loss, keras.losses.Loss)
    assert loss.name == name
    assert keras.saving.get_registered_name(type(loss)) == f"retrieval>{LOSSES[name].class_name}"


def test_classes_import_by_name():
    from retrieval.losses import CrossBatchMemory, HardTriplet

    assert HardTriplet is loss_class("hard_triplet")
    assert CrossBatchMemory.__name__ == "CrossBatchMemory"
    with pytest.raises(ImportError):
        from retrieval.losses import NoSuchLoss  # noqa: F401


def test_unknown_names_say_which_are_valid():
    with pytest.raises(UserError, match=r"'hard_tripled'.*'hard_triplet'"):
        get_loss("hard_tripled")
    with pytest.raises(UserError, match=r"hard_triplet.*'margn'.*'margin'.*dist"):
        get_loss("hard_triplet", margn=1.0)
    for options in ({"name": "mine"}, {"cross_batch_memory": 10}):
        with pytest.raises(UserError, match=r"fastap.*'\w+'.*: bins$"):
            check_loss_options("fastap", options)
    with pytest.raises(UserError, match=r"fastap.*'name'.*: bins$"):
        get_loss("fastap", **{"name": "mine"})
    with pytest.raises(UserError, match=r"cross_batch_memory.*'sise'"):
        get_loss("hard_triplet", cross_batch_memory={"sise": 1})
    with pytest.raises(UserError, match=r"lifted_loss .*cross-batch memory.*triplet"):
        get_loss("lifted_loss", cross_batch_memory=10)


@pytest.mark.parametrize(
    ("name", "options", "fact"),
    [
        ("hard_triplet", {"margin": "sotf"}, "margin = 'sotf': "),
        ("hard_triplet", {"margin": True}, "margin = True"),
        ("hard_triplet", {"distance": "l2"}, "distance = 'l2': "),
        ("hard_triplet", {"positives": "easy"}, "positives = 'easy': "),
        ("mined_triplet", {"miner": "hardest"}, "miner = 'hardest': "),
        ("mined_triplet", {"distance": "l2"}, "distance = 'l2': "),
        ("mined_triplet", {"seed": -1}, "seed = -1: "),
        ("semi_hard_triplet", {"margin": "none"}, "margin = 'none'"),
        ("angular_loss", {"degree": 90}, "degree = 90: "),
        ("angular_loss", {"form": "sum"}, "form = 'sum': "),
        ("contrastive_loss", {"pairs": "some"}, "pairs = 'some'"),
        ("contrastive_loss", {"power": 3}, "power = 3: "),
        ("ntxent", {"temperature": 0}, "temperature = 0: "),
        ("recall_at_k", {"ks": [0]}, "ks = 0: "),
        ("ranked_list", {"balance": 2}, "balance = 2"),
        ("margin_loss", {"beta": "x"}, "beta = 'x': "),
        ("margin_loss", {"learn_beta": "no"}, "learn_beta = 'no': "),
        ("proxy_nca", {"own_in_denominator": 1}, "own_in_denominator = 1: "),
        ("fastap", {"bins": 10.5}, "bins = 10.5: "),
        ("histogram", {"bins": 0}, "bins = 0: "),
        ("soft_triple", {"centers_per_class": 2.5}, "centers_per_class = 2.5: "),
        ("arcface", {"seed": 0.5}, "seed = 0.5: "),
        ("recall_at_k", {"ks": 5}, "ks = 5: "),
        ("recall_at_k", {"ks": [1, 2.5]}, "ks = 2.5: "),
        ("circle", {"margin": float("nan")}, "margin = nan: "),
        ("hard_triplet", {"margin": float("inf")}, "margin = inf: "),
        ("ntxent", {"cross_batch_memory": 10.5}, "size = 10.5: "),
        ("ntxent", {"cross_batch_memory": {"start": 0.5}}, "start = 0.5: "),
    ],
)
def test_wrong_values_name_the_option_and_the_value(name, options, fact):
    with pytest.raises(UserError, match=re.escape(fact)):
        get_loss(name, **options)


def test_reading_recommended_settings_does_not_load_tensorflow():
    code = (
        "import sys; from retrieval.losses import LOSSES; LOSSES['arcface'].normalize; "
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
