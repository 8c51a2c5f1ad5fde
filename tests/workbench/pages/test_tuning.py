"""The page on fair tunings, its figures, and the same in reports."""

import io
import math
import shutil

import pandas as pd
import pytest

from retrieval.errors import UserError
from retrieval.evaluation.metrics import metric
from retrieval.report.comparing import compare_losses
from retrieval.report.sections import make_report
from retrieval.report.text import csv_of, latex_of, markdown_of
from retrieval.report.tuning import (
    SAME,
    budget_line,
    conclusions,
    effects_family,
    folds_line,
    outcome_rows,
    point_text,
    search_rows,
    size_line,
    tuned_losses,
    tuning_table,
    tunings_among,
)
from retrieval.runs.run import Run
from retrieval.runs.tuning import RECOMMENDED, TUNED
from tests.tuning.made_up import A, B, put, record
from tests.workbench.driver import open_page, parameters_of, text_of
from workbench.figures.tuning import best_so_far, validation_and_test
from workbench.pages.tuning import page

LINK = {"protocol": "leave_one_out"}


@pytest.fixture(scope="module")
def root(runs_root, tmp_path_factory):
    """A folder of runs with a tuning among them."""
    root = shutil.copytree(runs_root, tmp_path_factory.mktemp("tuned") / "runs")
    put(root, record())
    return root


@pytest.fixture
def shown(root, monkeypatch):
    monkeypatch.setenv("RETRIEVAL_RUNS", str(root))
    return root


@pytest.fixture(scope="module")
def runs(root):
    return {path.name: Run(path) for path in sorted((root / "photos").glob("[!.]*"))}


def test_the_search_is_counted_in_trials_and_in_steps():
    tuning = record()
    assert budget_line(tuning) == (
        "every loss: 3 trials of 2 folds and 20 steps each, 120 steps at most; taken: 50 to 90, as "
        "2 of 6 trials were stopped early and 1 of 6 trials diverged"
    )
    whole = {loss: trials[:1] for loss, trials in tuning.trials.items()}
    assert budget_line(record(trials=whole)).endswith("; taken: 40")
    assert search_rows(tuning) == [
        [A, "2", "1", "0", "90", "55.0", "70.0", "learning_rate 0.002, margin 0.1"],
        [B, "1", "1", "1", "50", "50.0", "50.0", "learning_rate 0.0003, pairs blocks"],
    ]


def test_the_folds_are_stated():
    assert "2 and 2 of the 4 training classes in turn; no test image" in folds_line(record())


def test_the_best_is_the_first_of_equal_complete_trials():
    tuning = record()
    assert tuning.best(A).number == 2
    assert tuning.best(B).number == 0
    assert record(trials={}).best(A) is None
    assert math.isnan(tuning.trials[B][1].result.value)


def test_an_effect_is_the_paired_difference_of_tuned_and_recommended(runs):
    tuned = tuned_losses(record(), runs, "leave_one_out", "recall@1")
    wanted = compare_losses(
        {"tuned": [runs["semi_hard_triplet-s0"]], "before": [runs["lifted_loss-s0"]]},
        "leave_one_out",
    ).pair("tuned", "before")
    effect = tuned.effect(A)
    assert effect["difference"] == pytest.approx(wanted["difference"])
    assert (effect["wins"], effect["losses"]) == (wanted["wins"], wanted["losses"])
    assert tuned.effect(B) is None  # its recommended settings were chosen
    rows = {row[0]: row for row in outcome_rows(tuned)}
    assert rows[B][-1] == SAME
    shown = metric("recall@1").format_difference(effect["difference"])
    assert rows[A][3].startswith(shown)


def test_what_it_comes_to_names_the_winners_and_the_sample_size(runs):
    tuned = tuned_losses(record(), runs, "leave_one_out", "recall@1")
    said = conclusions(tuned)
    assert "highest R@1 with recommended" in said[0]
    assert any("tuning helps" in line for line in said)
    assert "80% power" in size_line(tuned)


def test_a_tuning_that_changed_nothing_says_so(runs):
    names = {A: ("semi_hard_triplet-s0",), B: ("contrastive_loss-s0",)}
    kinds = (TUNED, RECOMMENDED)
    kept = record(runs={loss: dict.fromkeys(kinds, each) for loss, each in names.items()})
    tuned = tuned_losses(kept, runs, "leave_one_out", "recall@1")
    assert effects_family(tuned) == "none, as the recommended settings were chosen for every loss"
    assert "The recommended settings were chosen for every loss." in conclusions(tuned)
    assert [row[-1] for row in outcome_rows(tuned)] == [SAME, SAME]


def test_a_missing_run_names_the_command(runs):
    some = {name: run for name, run in runs.items() if name != "lifted_loss-s0"}
    with pytest.raises(UserError, match="lifted_loss-s0 is not there: the same `retrieval tune`"):
        tuned_losses(record(), some)


def test_every_format_of_the_report_shows_a_tuning(runs):
    sections = make_report(list(runs.values()))
    assert [each.tuning.name for each in sections[0].tunings] == ["fair"]
    text = markdown_of(sections)
    assert "Fair tuning fair: the search (every loss: 3 trials" in text
    assert "Tuned minus recommended [95%]" in text
    assert "learning\\_rate 0.002, margin 0.1" in latex_of(sections)
    assert "▲" not in latex_of(sections)
    table = pd.read_csv(io.StringIO(csv_of(sections))).set_index("name")
    row = table[table["protocol"] == "leave-one-out"].loc["semi_hard_triplet-s0"]
    assert (row["tuning"], row["settings"], row["validation"]) == ("fair", "tuned", 0.7)


def test_tunings_of_other_runs_and_unfinished_ones_are_left_out(runs, root, tmp_path):
    assert not tunings_among([runs["semi_hard_triplet-s0"]])
    copy = shutil.copytree(root, tmp_path / "runs")
    put(copy, record(finished=False))
    copied = [Run(path) for path in sorted((copy / "photos").glob("[!.]*"))]
    assert not tunings_among(copied)
    (copy / "photos" / ".tuning" / "fair" / "tuning.json").write_text("{")
    assert not tunings_among(copied)


def test_the_table_for_files_has_validation_and_test(runs):
    table = tuning_table(tuned_losses(record(), runs, "leave_one_out", "recall@1"))
    assert len(table) == 4
    row = table[(table["loss"] == A) & (table["settings"] == "tuned")].iloc[0]
    assert (row["validation"], row["steps"], row["trials"]) == (0.7, 90, 3)


def test_points_are_short():
    assert point_text({"learning_rate": 0.00123456, "pairs": "all"}) == (
        "learning_rate 0.00123, pairs all"
    )


def test_the_page_says_what_the_report_says(shown, runs):
    app = open_page("tuning", **LINK)
    said = conclusions(tuned_losses(record(), runs, "leave_one_out", "recall@1"))
    text = text_of(app).replace("\\", "")
    assert all(line in text for line in said)
    assert budget_line(record()) in text
    tables = [each.value for each in app.dataframe]
    assert tables[0].to_numpy().tolist() == search_rows(record())
    assert "Tuned, R@1 [95%]" in tables[1]
    assert len(tables[2]) == 6  # every trial
    assert [each.label for each in app.expander] == ["2 folds", "All 6 trials"]
    assert "ant, bee" in text


def test_the_metric_of_the_test_is_that_of_the_sidebar(shown):
    app = open_page("tuning", metric="map@r", **LINK)
    assert "Tuned, MAP@R [95%]" in app.dataframe[1].value


def test_several_tunings_can_be_chosen_from_and_the_choice_is_in_the_link(
    root, tmp_path, monkeypatch
):
    copy = shutil.copytree(root, tmp_path / "runs")
    put(copy, record(name="newer", finished=False, trials={A: record().trials[A][:2]}))
    monkeypatch.setenv("RETRIEVAL_RUNS", str(copy))
    assert parameters_of(open_page("tuning", tuning="fair", **LINK))["tuning"] == "fair"
    app = open_page("tuning", **LINK)
    assert "Not finished: 2 of 6 trials" in text_of(app)
    assert len(app.dataframe) == 2  # no test yet


def test_a_data_set_without_tuning_says_the_command(served):
    app = open_page("tuning", **LINK)
    assert app.code[0].value.startswith("retrieval tune --losses baseline --dataset photos")


def test_a_damaged_record_is_named(root, tmp_path, monkeypatch):
    copy = shutil.copytree(root, tmp_path / "runs")
    (copy / "photos" / ".tuning" / "fair" / "tuning.json").write_text("{}")
    monkeypatch.setenv("RETRIEVAL_RUNS", str(copy))
    assert "damaged" in open_page("tuning", **LINK).error[0].value


def test_a_run_that_is_gone_is_named(root, tmp_path, monkeypatch):
    copy = shutil.copytree(root, tmp_path / "runs")
    shutil.rmtree(copy / "photos" / "lifted_loss-s0")
    monkeypatch.setenv("RETRIEVAL_RUNS", str(copy))
    assert "is not there" in open_page("tuning", **LINK).warning[0].value


def test_the_line_of_a_loss_never_falls_and_its_steps_add_up():
    figure = best_so_far(record())
    first, second = figure.data
    assert list(first.x) == [40, 50, 90]
    assert list(first.y) == pytest.approx([55, 55, 70])
    assert list(second.y) == pytest.approx([50, 50, 50])
    assert list(first.marker.size) == [8, 0, 8]
    assert best_so_far(record(trials={})).data  # before the first generation


def test_a_point_stands_at_its_validation_and_its_test(runs):
    tuned = tuned_losses(record(), runs, "leave_one_out", "recall@1")
    figure = validation_and_test(tuned)
    changed, kept = figure.data[:2]
    assert list(changed.x) == pytest.approx([55, 70])
    wanted = [runs[name].result("leave_one_out").metric("recall@1").value
              for name in ("lifted_loss-s0", "semi_hard_triplet-s0")]  # fmt: skip
    assert list(changed.y) == pytest.approx([100 * value for value in wanted])
    assert len(kept.x) == 1


def test_everything_shown_can_be_exported(shown, monkeypatch):
    given = {}
    monkeypatch.setattr(page, "export_menu", lambda **options: given.update(options))
    open_page("tuning", **LINK)
    assert set(given["tables"]) == {"All trials", "Tuned losses"}
    assert all(len(make()) for make in given["tables"].values())
    assert all(make().data for make in given["figures"].values())
