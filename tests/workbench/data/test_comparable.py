"""Runs whose protocols share a name but differ otherwise are kept apart on every page."""

import numpy as np
import pytest

from retrieval.runs.run import Run
from tests.runs.helpers import edit
from tests.workbench.driver import loss_tables, open_page, text_of
from workbench.data.comparable import protocol_difference
from workbench.layout.theme import plain


@pytest.fixture
def runs(make_run, monkeypatch) -> dict[str, Run]:
    """Two comparable runs, and a third one scored by another distance."""
    losses = {"one": "semi_hard_triplet", "two": "lifted_loss", "three": "npairs_loss"}
    made = {name: make_run(name, loss=loss) for name, loss in losses.items()}
    for number in (0, 1):
        for fact, value in (("distance", "euclidean"), ("normalized", False)):
            keys = ("results", number, "protocol", fact)
            edit(made["three"].path, "metrics.json", *keys, to=value)
    monkeypatch.setenv("RETRIEVAL_RUNS", str(made["one"].path.parents[1]))
    return {name: Run(run.path) for name, run in made.items()}


def test_the_difference_is_named(runs, make_run, photos):
    def why(a, b):
        return protocol_difference(a, b, "query_gallery")

    assert why(runs["two"], runs["one"]) == why(runs["one"], runs["one"]) == ""
    assert why(runs["three"], runs["one"]) == "euclidean distance"
    assert why(runs["one"], runs["three"]) == "cosine distance"
    fewer = make_run("fewer", items=photos.iloc[:-6])
    assert why(fewer, runs["one"]) == "other items"
    assert why(fewer, runs["three"]) == "cosine distance, other items"
    relabeled = make_run("relabeled", items=photos.assign(path=photos["path"] + "x"))
    assert why(relabeled, runs["one"]) == "other items"


@pytest.mark.parametrize(
    ("a", "above", "apart"),
    [
        ("one", {"semi_hard_triplet", "lifted_loss"}, {"npairs_loss"}),
        ("three", {"npairs_loss"}, {"semi_hard_triplet", "lifted_loss"}),
    ],
)
def test_the_overview_has_a_table_per_distance(runs, a, above, apart):
    app = open_page(a=a)
    tables = [{name.split(" · ")[-1] for name in table["Loss"]} for table in loss_tables(app)]
    assert tables == [above, apart]
    distances = {name: run.result().protocol.distance for name, run in runs.items()}
    assert f"{distances[a]} distance" in app.caption[0].value
    other = "Cosine" if a == "three" else "Euclidean"
    assert f"**{other} distance**" in text_of(app)
    assert [s.value for s in app.subheader if "real" in s.value] == (
        ["Is the difference real?"] if a == "one" else []
    )


def test_the_sidebar_does_not_rank_runs_of_two_distances_together(runs):
    best = ("results", 0, "metrics", "recall@1", "value")
    edit(runs["three"].path, "metrics.json", *best, to=1.0)
    app = open_page()
    assert app.selectbox(key="a").value == "one"
    titles = app.selectbox(key="a").options
    assert [title.split(" · ")[0] for title in titles] == ["one", "two", "three"]
    assert ["euclidean distance" in title for title in titles] == [False, False, True]
    assert app.selectbox(key="b").value == "two"
    assert app.selectbox(key="b").options[-1] == titles[-1]


def test_runs_of_two_distances_are_not_compared(runs):
    app = open_page("compare", a="one", b="three")
    assert "euclidean distance" in app.warning[0].value
    assert "R@1 differs by" not in text_of(app)
    assert open_page(a="one").selectbox(key="b").value == "two"


def test_runs_apart_for_one_reason_share_a_table_only_if_comparable(runs, make_run, photos):
    make_run("fewer", items=photos.iloc[:-6], loss="fewer")
    make_run("fewest", items=photos.iloc[:-12], loss="fewest")
    tables = [table["Loss"].tolist() for table in loss_tables(open_page(a="three"))]
    assert sorted(map(len, tables)) == [1, 1, 1, 2]


def test_a_page_says_when_the_data_is_a_placeholder(runs):
    assert plain("placeholder") not in open_page(a="one").caption[0].value
    for run in runs.values():
        edit(run.path, "config.yaml", "dataset", "options", to={"placeholder": True})
    for page in ("overview", "retrieval", "failures", "map", "compare", "why", "methods"):
        caption = open_page(page, a="one").caption[0].value
        assert plain("synthetic placeholder, not the published data set") in caption


@pytest.mark.parametrize(
    ("dataset", "ks"),
    [("sop", (1, 2, 4, 8, 10, 16, 100, 1000)), ("inshop", (1, 10, 20, 30, 40, 50))],
)
def test_a_data_set_is_shown_at_the_k_of_its_field(make_run, monkeypatch, dataset, ks):
    run = make_run("one", dataset=dataset)
    for number in (0, 1):
        for k in ks[1:]:
            value = {"value": 0.5 + k / 4000, "low": 0.4, "high": 0.9}
            edit(run.path, "metrics.json", "results", number, "metrics", f"recall@{k}", to=value)
    monkeypatch.setenv("RETRIEVAL_RUNS", str(run.path.parents[1]))
    table = loss_tables(open_page())[0]
    assert [c for c in table if c.startswith("R@")] == [f"R@{k}" for k in ks]
    shown = [float(table[f"R@{k}"][0]) for k in ks[1:]]
    assert shown == pytest.approx([50 + k / 40 for k in ks[1:]], abs=0.051)
    assert np.isfinite(float(table["R@1"][0]))
