"""Tables of runs: one row per loss, seeds aggregated, protocols apart."""

import dataclasses

import numpy as np
import pytest

from retrieval.report.published import published_table
from retrieval.runs.run import Run
from tests.runs.helpers import with_dataset_options, with_settings
from tests.workbench.small import neighbors
from workbench.analysis import naming, tables


@pytest.fixture
def runs(runs_root) -> list[Run]:
    return [Run(path) for path in sorted((runs_root / "photos").iterdir())]


def test_seeds_of_a_loss_share_a_row(runs):
    results = tables.results_table(runs, "query_gallery")
    table = tables.loss_table(results)
    assert len(results) == 4
    assert table["group"].tolist()[0] == "semi_hard_triplet"
    row = table.set_index("group").loc["contrastive_loss"]
    values = [tables.metric_value(run, "query_gallery", "recall@1") for run in runs[:2]]
    assert row["seeds"] == [0, 1]
    assert row["recall@1"] == pytest.approx(np.mean(values))
    assert row["recall@1/sd"] == pytest.approx(np.std(values, ddof=1))
    assert np.isnan(table["recall@1/sd"][0])
    assert (table["recall@1"].diff().dropna() <= 0).all()


def test_runs_without_the_protocol_are_left_out(runs):
    assert tables.results_table(runs, "other").empty
    assert tables.run_order(runs, "query_gallery")[0].name == "semi_hard_triplet-s0"


def test_a_group_is_named_by_the_settings_that_differ(make_run):
    runs = [
        make_run("one"),
        make_run("two", seed=1),
        make_run("three"),
        make_run("four", loss=None),
    ]
    runs[2] = with_settings(runs[2], embedding_size=512)
    assert naming.group_titles(runs) == {
        "one": "semi_hard_triplet (embedding size 64)",
        "two": "semi_hard_triplet (embedding size 64)",
        "three": "semi_hard_triplet (embedding size 512)",
        "four": "four",
    }


def test_of_options_those_that_differ_are_named_and_of_paths_the_last_part(make_run):
    runs = [make_run("one"), make_run("two"), make_run("three")]
    roots = ("/x/photos", "/x/photos", "/y/photos")
    for at, (table, root) in enumerate(zip("abb", roots, strict=True)):
        options = {"train_csv": f"/home/{table}.csv", "split_seed": 0, "image_root": root}
        runs[at] = with_settings(runs[at], dataset_options=options)
    first = "semi_hard_triplet (dataset options train_csv={} image_root={})"
    assert naming.group_titles(runs) == {
        "one": first.format("a.csv", "/x/photos"),
        "two": first.format("b.csv", "/x/photos"),
        "three": first.format("b.csv", "/y/photos"),  # whole, where the last parts are the same
    }
    runs[2] = with_settings(runs[2], dataset_options=options | {"image_root": "/x/drawings/"})
    assert naming.group_titles(runs)["three"] == first.format("b.csv", "drawings")
    assert naming.group_titles(runs[:2])["one"] == "semi_hard_triplet (dataset options " + (
        "train_csv=a.csv)"
    )


def test_watching_a_run_sets_it_apart_only_if_it_chose_the_network(make_run):
    runs = [make_run("one"), make_run("two", seed=1)]
    runs[0] = with_settings(runs[0], eval_every=40, eval_split="test", keep_embeddings=True)
    runs[1] = with_settings(runs[1], eval_every=75, freeze_steps=0)  # 0 is the default
    assert set(naming.group_titles(runs).values()) == {"semi_hard_triplet"}
    runs[0] = with_settings(runs[0], use_checkpoint="best")
    assert naming.group_titles(runs)["one"] == (
        "semi_hard_triplet (eval split test, eval every 40, use checkpoint best)"
    )


def test_published_figures_stand_beside_measured_ones(make_run):
    run = make_run("one")
    assert published_table([run], "leave_one_out").empty
    run = with_settings(run, recipe="cub200/semi_hard_triplet", scaled=True)
    table = published_table([run], "leave_one_out").set_index("metric")
    assert table.loc["recall@1", "published"] == pytest.approx(0.4903)
    assert table.loc["recall@1", "measured"] == tables.metric_value(
        run, "leave_one_out", "recall@1"
    )
    assert table.loc["nmi", "published"] == pytest.approx(0.587)
    (why,) = set(table["changed"])
    assert why.startswith("not comparable: settings changed (")
    run = with_settings(run, scaled=False)
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
        ("sop/resnet50_proxy_anchor", {}, "leave_one_out", "reference, other settings: About what"),
    ],
)
def test_figures_that_cannot_be_compared_say_why(make_run, recipe, options, protocol, why):
    run = with_settings(make_run("one"), recipe=recipe, scaled=False)
    run = with_dataset_options(run, **options)
    table = published_table([run], protocol)
    assert len(table)
    assert table["published"].notna().all()
    assert table["measured"].isna().all() == ("published under" in why)
    for given in table["changed"]:
        assert given.startswith(why)
        assert bool(given) == bool(why)


def test_recall_at_every_k_follows_from_the_first_hits():
    # First hits 2, 1, 3, 1, 1 and one query without a possible hit.
    curve = tables.recall_curve(neighbors())
    assert curve["k"].tolist() == [1, 2, 3]
    assert curve["recall"].tolist() == [3 / 5, 4 / 5, 1]
    scored_zero = tables.recall_curve(neighbors(), "zero")
    assert scored_zero["recall"].tolist() == [3 / 6, 4 / 6, 5 / 6]
    beyond = dataclasses.replace(
        neighbors(), first_relevant_rank=np.array([9, 1, 3, 1, 1, 0], np.int32)
    )
    assert tables.recall_curve(beyond)["recall"].tolist() == [3 / 5, 3 / 5, 4 / 5]


def test_the_curve_meets_the_stored_recalls(runs):
    for run in runs:
        curve = tables.recall_curve(run.neighbors()).set_index("k")["recall"]
        for k in (1, 2, 4, 8):
            assert curve[k] == pytest.approx(
                tables.metric_value(run, "query_gallery", f"recall@{k}")
            )
