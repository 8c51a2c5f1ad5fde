"""Sections: comparable runs share a table, seeds share a row."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from retrieval.errors import UserError
from retrieval.report.sections import Tests as Options
from retrieval.report.sections import group_runs, make_report, reported_metrics
from retrieval.report.writing import write_report
from retrieval.runs.run import Run
from retrieval.runs.store import open_run
from retrieval.settings.schema import TrainSettings
from tests.report.helpers import make_run
from tests.runs.helpers import edit, with_dataset_options


def test_only_comparable_runs_share_a_table(runs):
    sections = make_report(runs)
    rows = [set(section.table["name"]) for section in sections]
    assert {"good", "bad_50%|run"} in rows
    assert {"other"} in rows  # another distance
    assert {"fewer"} in rows  # other items
    assert len(sections) == 3


def test_seeds_share_a_row_with_their_mean_and_interval(runs):
    section = next(s for s in make_report(runs) if "good" in s.groups)
    assert [run.name for run in section.groups["good"]] == [f"good-seed{s}" for s in range(3)]
    row = section.table.set_index("name").loc["good"]
    values = [run.result().metric("map@r").value for run in runs[:3]]
    assert row["map@r"] == pytest.approx(np.mean(values))
    assert row["map@r/low"] < row["map@r"] < row["map@r/high"]
    assert row["seeds"] == 3
    single = section.table.set_index("name").loc["bad_50%|run"]
    stored = runs[3].result().metric("recall@1")
    assert (single["recall@1"], single["recall@1/low"]) == (stored.value, stored.low)


def test_a_repeated_seed_is_no_second_seed():
    """Copies of one run under the names of other seeds would narrow the interval."""
    seeds = {"good-s0": 0, "good-s1": 1, "good-s2": 0, "good-s3": 0}
    runs = [
        SimpleNamespace(name=name, settings=TrainSettings(loss="good", seed=seed))
        for name, seed in seeds.items()
    ]
    groups = {name: [run.name for run in group] for name, group in group_runs(runs).items()}
    assert groups == {
        "good": ["good-s0", "good-s1"],
        "good-s2": ["good-s2"],
        "good-s3": ["good-s3"],
    }


def test_the_better_loss_is_named_and_counts_are_stated(runs):
    section = next(s for s in make_report(runs) if "good" in s.groups)
    pair = section.comparison.pairs.iloc[0]
    assert (pair["a"], pair["b"], bool(pair["significant"])) == ("good", "bad_50%|run", True)
    assert "72 queries of 12 classes, 72 gallery items" in section.line
    assert "leave-one-out, cosine distance" in section.line


def test_equal_titles_say_what_differs(runs):
    titles = [section.title for section in make_report(runs)]
    assert len(set(titles)) == 3
    assert any("euclidean distance" in title for title in titles)
    assert any("30 queries, 30 gallery items, 5 classes" in title for title in titles)
    (alone,) = make_report(runs[:2])
    assert alone.title == "leave-one-out"


def test_the_number_of_k_means_starts_tells_sections_apart(runs, tmp_path):
    changed = Run(shutil.copytree(runs[0].path, tmp_path / "shapes" / "few"))
    edit(changed.path, "metrics.json", "results", 0, "protocol", "n_init", to=2)
    titles = [section.title for section in make_report([runs[0], Run(changed.path)])]
    assert titles == [f"leave-one-out, {n} starts of k-means" for n in (10, 2)]


def test_every_data_set_has_its_own_k():
    published = tuple(f"recall@{k}" for k in (1, 2, 4, 8, 10, 16, 100, 1000))
    assert reported_metrics("sop")[:8] == published
    official = tuple(f"recall@{k}" for k in (1, 10, 20, 30, 40, 50))
    assert reported_metrics("inshop")[:6] == official
    for dataset in ("cub200", "cars196", "imported"):
        assert reported_metrics(dataset)[:5] == tuple(f"recall@{k}" for k in (1, 2, 4, 8, 16))


def test_a_placeholder_is_called_one_above_its_table(tmp_path):
    run = make_run(tmp_path, "bird", noise=0.6)
    (section,) = make_report([run])
    assert "placeholder" not in section.line
    with_dataset_options(run, placeholder=True)
    moved = run.path.parent.rename(tmp_path / "runs" / "sop") / run.name
    (section,) = write_report([open_run(moved)], tmp_path / "out")
    assert section.line.startswith(
        "synthetic placeholder, not the published data set; leave-one-out, "
    )
    (line,) = [
        line for line in (tmp_path / "out/report.md").read_text().splitlines() if "R@1 " in line
    ]
    assert "| R@10 | R@16 | R@100 | R@1000 | R-Precision |" in line


def test_nothing_to_report():
    with pytest.raises(UserError, match="no runs"):
        make_report([])


@pytest.mark.parametrize(
    ("metrics", "wanted", "ranked"),
    [
        ((), "", "recall@1"),
        (("map@r", "recall@1"), "", "map@r"),
        (("median_first_hit",), "", "recall@1"),
        (("recall@1",), "nmi", "nmi"),
    ],
)
def test_the_first_metric_that_can_rank_runs_ranks_and_tests_them(runs, metrics, wanted, ranked):
    section = make_report(runs[:4], metrics, Options(metric=wanted))[0]
    assert section.comparison.metric == ranked
    assert next(iter(section.leaders)) == ranked
    assert list(section.groups) == list(section.comparison.summary["name"])
    assert section.comparison.summary["mean"].is_monotonic_decreasing
    assert bool(section.comparison.reason) == (ranked == "nmi")


def test_a_recall_that_no_run_records_follows_from_the_ranks(runs):
    section = make_report(runs[:4], ["recall@3"])[0]
    (run,) = section.groups["bad_50%|run"]
    ranks = run.neighbors().first_relevant_rank
    row = section.table.set_index("name").loc["bad_50%|run"]
    assert row["recall@3"] == pytest.approx(np.mean((ranks > 0) & (ranks <= 3)))
    assert row["recall@3/low"] < row["recall@3"] < row["recall@3/high"]


def test_runs_are_not_ranked_by_what_is_no_measure_of_quality(runs):
    with pytest.raises(UserError, match="metric to rank runs by"):
        make_report(runs, tests=Options(metric="nmi_start_spread"))
