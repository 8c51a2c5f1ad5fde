"""The typed content of ``config.yaml`` and ``metrics.json``."""

import math
import re

import numpy as np
import pytest

from retrieval.errors import UserError
from retrieval.losses import LOSSES, former_defaults, recommended_options
from retrieval.runs.records import SCHEMA
from retrieval.runs.run import Run
from retrieval.runs.store import open_run
from tests.runs.helpers import edit, reason_not_opened


@pytest.mark.parametrize(
    ("file", "keys", "to", "reason"),
    [
        ("config.yaml", ["schema"], "2", "schema must be a whole number, not '2'"),
        ("config.yaml", ["schema"], ..., "schema is missing"),
        ("config.yaml", ["settings"], [1, 2], r"settings must be a mapping, not \[1, 2\]"),
        ("config.yaml", ["settings", "seed"], "one\ntwo", "seed must be a whole number, not 'one"),
        ("config.yaml", ["settings", "optimizer"], "lion", "optimizer.*'lion'"),
        ("config.yaml", ["settings", "steps"], 0, "steps"),
        ("config.yaml", ["provenance", "seed"], 0.5, "seed must be a whole number, not 0.5"),
        ("config.yaml", ["provenance", "seconds"], {"train": "long"}, "train must be a number"),
        ("config.yaml", ["dataset", "root"], 7, "root must be text, not 7"),
        ("metrics.json", ["schema"], "2", "schema must be a whole number, not '2'"),
        ("metrics.json", ["primary"], "rank_all", "no results under protocol 'rank_all'"),
        ("metrics.json", ["results"], {}, "results must be a list"),
        ("metrics.json", ["results", 1, "protocol", "title"], ..., "result 2: title is missing"),
        ("metrics.json", ["results", 0, "metrics"], ..., "result 1: metrics is missing"),
        (
            "metrics.json",
            ["results", 0, "protocol", "n_queries"],
            ...,
            "result 1: n_queries is missing",
        ),
        (
            "metrics.json",
            ["results", 0, "protocol", "normalized"],
            1,
            "result 1: normalized must be true or false, not 1",
        ),
        ("metrics.json", ["results", 0, "metrics", "nmi"], 0.5, "nmi must be a mapping, not 0.5"),
        (
            "metrics.json",
            ["results", 0, "metrics", "nmi", "value"],
            "high",
            "result 1, nmi: value must be a number, not 'high'",
        ),
        (
            "metrics.json",
            ["results", 0, "geometry", "hubness"],
            "high",
            "result 1, geometry: hubness must be a number, not 'high'",
        ),
    ],
)
def test_a_damaged_entry_is_named_in_one_line_when_the_run_is_opened(made, file, keys, to, reason):
    edit(made, file, *keys, to=to)
    found = reason_not_opened(made)
    assert re.search(reason, found)
    assert str(made / file) in found
    assert "\n" not in found


def test_a_newer_schema_is_reported_before_missing_files(made):
    edit(made, "config.yaml", "schema", to=SCHEMA + 1)
    (made / "neighbours.npz").rename(made / "neighbors.zarr")
    assert f"schema {SCHEMA + 1} is newer than this version's {SCHEMA}" in reason_not_opened(made)


CHANGED = [name for name, entry in LOSSES.items() if entry.former]


@pytest.mark.parametrize("name", CHANGED)
def test_a_run_of_the_first_schema_was_trained_with_the_defaults_of_its_time(made, name):
    edit(made, "config.yaml", "settings", "loss", to=name)
    edit(made, "config.yaml", "settings", "loss_options", to={})
    assert open_run(made).settings.loss_options == {}
    edit(made, "config.yaml", "schema", to=1)
    assert open_run(made).settings.loss_options == former_defaults(name)
    option, now = next((k, recommended_options(name)[k]) for k in former_defaults(name))
    edit(made, "config.yaml", "settings", "loss_options", to={option: now})
    assert open_run(made).settings.loss_options[option] == now


@pytest.mark.parametrize("name", CHANGED)
def test_former_defaults_are_options_that_have_another_default_now(name):
    for option, value in former_defaults(name).items():
        assert recommended_options(name)[option] != value


def test_settings_of_a_newer_version_are_named_and_ignored(made):
    edit(made, "config.yaml", "settings", "teleport", to=True)
    run = open_run(made)
    assert run.unknown_settings == ("teleport",)
    assert run.settings.loss == "lifted_loss"


def test_spellings_of_version_0_1_0_are_read(made):
    edit(made, "config.yaml", "settings", "augment", to="colour")
    edit(made, "config.yaml", "settings", "test_time_mean", to="normalised")
    edit(made, "metrics.json", "results", 0, "protocol", "normalized", to=...)
    edit(made, "metrics.json", "results", 0, "protocol", "normalised", to=False)
    edit(made, "config.yaml", "dataset", "options", to={"stand_in": True})
    run = open_run(made)
    assert (run.settings.augment, run.settings.test_time_mean) == ("color", "normalized")
    assert run.results["leave_one_out"].protocol.normalized is False
    assert run.dataset_config.is_placeholder


def test_imported_embeddings_have_no_settings(made):
    edit(made, "config.yaml", "settings", to=None)
    run = open_run(made)
    assert run.settings is None
    assert run.selected_on is None


def test_what_was_not_recorded_is_none_or_empty(made):
    for part in ("dataset", "provenance"):
        edit(made, "config.yaml", part, to=...)
    run = open_run(made)
    assert (run.dataset_config.root, run.dataset_config.n_train) == (None, None)
    assert (run.provenance.seed, run.provenance.total_seconds) == (None, None)


def test_results_are_by_protocol_and_the_primary_one_is_the_default(made):
    run = open_run(made)
    assert list(run.results) == ["leave_one_out", "query_gallery"]
    assert run.primary == "query_gallery"
    result = run.results["query_gallery"]
    assert (result.title, result.dataset, result.split) == ("cross-store", "birds", "test")
    assert (result.protocol.n_queries, result.protocol.n_gallery) == (8, 12)
    recall = result.metric("recall@1")
    assert 0 <= recall.value <= 1
    assert np.isnan((recall.low, recall.high)).all()  # too few classes for an interval
    assert run.provenance.total_seconds == 2.5


def test_a_metric_that_does_not_exist_is_nan(made):
    edit(made, "metrics.json", "results", 0, "metrics", "nmi", to={"value": None})
    result = open_run(made).results["leave_one_out"]
    for name in ("nmi", "never measured"):
        estimate = result.metric(name)
        assert all(map(math.isnan, (estimate.value, estimate.low, estimate.high)))


@pytest.mark.parametrize(("rule", "scored", "excluded"), [("exclude", 5, 3), ("zero", 8, 0)])
def test_queries_without_a_relevant_item_count_as_the_protocol_says(made, rule, scored, excluded):
    for key, value in (("no_positive", rule), ("n_without_positive", 3)):
        edit(made, "metrics.json", "results", 1, "protocol", key, to=value)
    result = open_run(made).results["query_gallery"]
    assert (result.n_scored, result.n_excluded) == (scored, excluded)


def test_a_file_that_is_no_mapping_is_damaged(made):
    (made / "metrics.json").write_text("[]")
    with pytest.raises(UserError, match="not a mapping"):
        _ = Run(made).results
