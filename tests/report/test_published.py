"""What was published, beside what a run has: never without the reason why the two may differ."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from retrieval.report.published import deviations, published_line
from retrieval.runs.records import DatasetConfig
from retrieval.settings.recipes import load_recipe


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
    assert published_line(run) == "birds/a: published R@1 78.0 (similar experiment, leave-one-out)"


def test_what_has_no_published_figures_still_says_that_its_data_is_a_placeholder():
    run = made_by("inshop/resnet50_proxy_anchor", {}, {"placeholder": True})
    assert published_line(run) == "birds/a: not comparable: synthetic placeholder"
    run.settings = None
    assert published_line(run) == "birds: synthetic placeholder, not the published data set"
    run.dataset_config = DatasetConfig("birds")
    assert published_line(run) == ""
