"""What was published, beside what a run has: never without the reason why the two may differ."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from retrieval.report.published import deviations, published_line, published_table
from retrieval.runs.records import DatasetConfig
from retrieval.runs.run import Run
from retrieval.settings.recipes import load_recipe
from tests.runs.helpers import (
    made_by_recipe,
    with_dataset_options,
    with_settings,
    write_small_run,
)


@pytest.fixture
def run(tmp_path) -> Run:
    return Run(write_small_run(tmp_path / "birds" / "one"))


def made_by(recipe, changes=(), options=()):
    """Return what is read from a run that a recipe made on a data set with these options."""
    made = load_recipe(recipe)
    return SimpleNamespace(
        path=Path("a"),
        dataset="birds",
        name="a",
        settings=made.train_settings(dict(changes)),
        dataset_config=DatasetConfig("birds", options=dict(options)),
    )


@pytest.mark.parametrize(
    ("changes", "options", "found"),
    [
        ({}, {}, []),
        ({"data": "elsewhere", "seed": 1}, {"boxes": False}, []),
        ({}, {"placeholder": True, "boxes": False}, ["synthetic placeholder"]),
        ({"steps": 5}, {}, ["settings changed (steps 5)"]),
        (
            {"steps": 5},
            {"placeholder": True},
            ["synthetic placeholder", "settings changed (steps 5)"],
        ),
        ({}, {"boxes": True}, ["settings changed (boxes True)"]),
    ],
)
def test_every_departure_is_named(changes, options, found):
    assert deviations(made_by("cub200/hard_triplet", changes, options)) == found


def test_the_line_has_the_figures_their_protocol_and_the_deviations():
    run = made_by("inshop/semi_hard_triplet")
    line = "birds/a: published R@1 87.43, R@4 95.42, NMI 0.902 (leave-one-out)"
    assert published_line(run) == line
    run = made_by("inshop/semi_hard_triplet", {"steps": 7}, {"placeholder": True})
    why = "not comparable: synthetic placeholder; settings changed (steps 7)"
    assert published_line(run) == f"{line}; {why}"
    run = made_by("sop/resnet50_proxy_anchor")
    line = "birds/a: published R@1 79.2, R@10 90.7, R@100 96.2, R@1000 98.6"
    assert published_line(run) == f"{line} (similar experiment, leave-one-out)"


def test_a_run_of_an_earlier_version_of_its_recipe_is_not_called_as_published():
    run = made_by("sop/hard_triplet")
    run.settings = run.settings.with_(schedule="constant")
    assert not run.settings.scaled
    assert deviations(run) == ["settings changed (schedule constant)"]


def test_what_has_no_published_figures_still_says_that_its_data_is_a_placeholder():
    run = made_by("cub200/resnet50_recall_at_k", {}, {"placeholder": True})
    assert published_line(run) == "birds/a: not comparable: synthetic placeholder"
    run.settings = None
    assert published_line(run) == "birds: synthetic placeholder, not the published data set"
    run.dataset_config = DatasetConfig("birds")
    assert published_line(run) == ""


def test_published_figures_stand_beside_measured_ones(run):
    assert published_table([run], "leave_one_out").empty
    run = made_by_recipe(run, "cub200/semi_hard_triplet", steps=5)
    table = published_table([run], "leave_one_out").set_index("metric")
    assert table.loc["recall@1", "published"] == pytest.approx(0.4903)
    assert table.loc["recall@1", "measured"] == run.result("leave_one_out").metric("recall@1").value
    assert table.loc["nmi", "published"] == pytest.approx(0.587)
    (why,) = set(table["changed"])
    assert why.startswith("not comparable: settings changed (")
    run = made_by_recipe(run, "cub200/semi_hard_triplet")
    assert set(published_table([run], "leave_one_out")["changed"]) == {""}
    run = with_settings(run, recipe="cub200/gone")
    assert published_table([run], "leave_one_out").empty


@pytest.mark.parametrize(
    ("recipe", "options", "protocol", "why"),
    [
        ("inshop/lifted_loss", {}, "query_gallery", "not comparable: published under"),
        (
            "cub200/npairs_loss",
            {"placeholder": True},
            "leave_one_out",
            "not comparable: synthetic placeholder",
        ),
        ("cub200/npairs_loss", {"boxes": True}, "leave_one_out", "not comparable: settings"),
        ("cub200/npairs_loss", {"boxes": False}, "leave_one_out", ""),
        ("cub200/resnet50_multi_similarity", {}, "leave_one_out", "reference: "),
    ],
)
def test_figures_that_cannot_be_compared_say_why(run, recipe, options, protocol, why):
    run = made_by_recipe(run, recipe)
    run = with_dataset_options(run, **options)
    table = published_table([run], protocol)
    assert len(table)
    assert table["published"].notna().all()
    assert table["measured"].isna().all() == ("published under" in why)
    for given in table["changed"]:
        assert given.startswith(why)
        assert bool(given) == bool(why)
