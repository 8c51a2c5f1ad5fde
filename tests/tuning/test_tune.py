"""A whole tuning: equal budgets, folds without test items, and the same end after any kill."""

import shutil
import sys

import numpy as np
import pytest

from retrieval.cluster import Outcome
from retrieval.errors import UserError
from retrieval.experiment.tasks import Place
from retrieval.runs.store import open_run
from retrieval.runs.tuning import RECOMMENDED, TUNED, list_tunings, read_tuning
from retrieval.tuning import tune as module
from retrieval.tuning.tune import losses_of, make_plan, search
from tests.tuning.helpers import (
    BUDGET,
    LOSSES,
    made_up,
    outcomes,
    record,
    settings_of_trials,
    tuned,
)

TRIALS = BUDGET["trials"]


def searched(shapes, runs, place=None, **changes):
    """Make the trials of a tuning alone."""
    plan = make_plan(
        settings_of_trials(shapes), losses=LOSSES, metric="map@r", name="tuning",
        early_stopping=True, runs=runs, **{**BUDGET, **changes},
    )  # fmt: skip
    plan.folder.mkdir(parents=True, exist_ok=True)
    return search(plan, place or Place(), progress=False, announce=None)


@pytest.mark.slow
def test_every_loss_gets_the_same_number_of_trials_and_the_steps_are_counted(finished):
    _, tuning = finished
    budget = tuning.budget
    for loss in LOSSES:
        trials = tuning.trials[loss]
        assert [trial.number for trial in trials] == list(range(TRIALS))
        assert 0 < tuning.steps(loss) <= budget.most_steps
        for trial in trials:
            checks = len(trial.result.checks)
            assert trial.result.steps == checks * budget.steps // budget.checks


def test_the_folds_hold_every_training_class_once_and_no_test_class(finished):
    runs, tuning = finished
    dealt = [label for fold in tuning.folds for label in fold.labels]
    assert sorted(dealt) == sorted(set(dealt))
    assert len(dealt) == 8
    run = open_run(runs / "folder" / tuning.runs["npairs_loss"][RECOMMENDED][0])
    assert not set(dealt) & set(run.items["label"])
    assert sum(fold.items for fold in tuning.folds) == 8 * 4


def test_the_chosen_and_the_recommended_settings_are_trained_with_the_same_seeds(finished):
    runs, tuning = finished
    for loss in LOSSES:
        for kind in (TUNED, RECOMMENDED):
            made = [open_run(runs / "folder" / name) for name in tuning.runs[loss][kind]]
            assert [run.settings.seed for run in made] == [0, 1]
            assert {run.settings.loss for run in made} == {loss}
        if best := tuning.best(loss).number:
            chosen = tuning.trials[loss][best].point
            run = open_run(runs / "folder" / tuning.runs[loss][TUNED][0])
            assert run.settings.learning_rate == chosen["learning_rate"]
        else:
            assert tuning.runs[loss][TUNED] == tuning.runs[loss][RECOMMENDED]


def test_the_record_is_read_as_it_was_written_and_hidden_among_the_runs(finished):
    runs, tuning = finished
    (folder,) = list_tunings(runs)
    assert read_tuning(folder) == tuning == record(runs)
    assert folder.relative_to(runs).as_posix() == "folder/.tuning/tuning"
    assert tuning.finished


def test_the_same_command_keeps_everything(finished, colors, monkeypatch):
    runs, tuning = finished
    monkeypatch.setattr(module, "run_trial", None)  # would fail if it were called
    assert tuned(colors, runs) == tuning


@pytest.mark.slow
def test_test_images_and_their_labels_change_nothing_of_the_choice(finished, colors, tmp_path):
    _, tuning = finished
    shuffled = shutil.copytree(colors, tmp_path / "colors")
    labels = {label for fold in tuning.folds for label in fold.names}
    tested = [path for path in sorted(shuffled.iterdir()) if path.name not in labels]
    assert len(tested) == 8
    files = [file for path in tested for file in sorted(path.iterdir())]
    contents = [file.read_bytes() for file in files]
    order = np.random.default_rng(0).permutation(len(files))
    assert (order // 4 != np.arange(len(files)) // 4).any()
    for file, place in zip(files, order, strict=True):
        file.write_bytes(contents[place])
    again = searched(shuffled, tmp_path / "runs")
    assert outcomes(again) == outcomes(tuning)


@pytest.fixture(scope="module")
def undisturbed(colors, tmp_path_factory):
    """The trials of a search whose results are made up."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "run_trial", made_up)
        return searched(colors, tmp_path_factory.mktemp("undisturbed"), trials=9)


@pytest.mark.parametrize("survived", [0, 1, 4, 9, 17])
def test_a_tuning_killed_among_its_trials_ends_as_undisturbed(
    undisturbed, colors, tmp_path, monkeypatch, survived
):
    made = []

    def killed(**arguments):
        if len(made) == survived:
            raise KeyboardInterrupt
        made.append(1)
        return made_up(**arguments)

    monkeypatch.setattr(module, "run_trial", killed)
    with pytest.raises(KeyboardInterrupt):
        searched(colors, tmp_path, trials=9)
    survived = -1  # from here on none is killed
    assert outcomes(searched(colors, tmp_path, trials=9)) == outcomes(undisturbed)
    assert len(made) == len(LOSSES) * 9  # none was made twice


def on_fake_cluster(monkeypatch, *, lost=()):
    """Let tasks end in reverse order, with some lost; each is called with plain arguments."""

    def run_tasks(function, calls, *, resources, retries):
        for index in reversed(range(len(calls))):
            if index in lost:
                yield Outcome(index, error=UserError("lost its node 4 times"))
            else:
                arguments = dict(calls[index])
                assert arguments.pop("dataset").name == "folder"
                yield Outcome(index, made_up(**arguments))

    monkeypatch.setattr(module, "run_tasks", run_tasks)
    monkeypatch.setattr(Place, "resources", lambda _: None)


def test_tasks_of_a_cluster_choose_what_this_process_does(
    undisturbed, colors, tmp_path, monkeypatch
):
    on_fake_cluster(monkeypatch)
    assert outcomes(searched(colors, tmp_path, place=Place("ray"), trials=9)) == outcomes(
        undisturbed
    )


def test_what_a_lost_task_leaves_undone_is_done_by_the_same_command(
    undisturbed, colors, tmp_path, monkeypatch
):
    on_fake_cluster(monkeypatch, lost=(1,))
    with pytest.raises(UserError, match="lost its node"):
        searched(colors, tmp_path, place=Place("ray"), trials=9)
    journal = tmp_path / "folder" / ".tuning" / "tuning" / "journal.log"
    assert journal.read_text().count('\\"state\\": \\"') == 3  # of the 4 of a generation
    on_fake_cluster(monkeypatch)
    assert outcomes(searched(colors, tmp_path, place=Place("ray"), trials=9)) == outcomes(
        undisturbed
    )


def test_another_plan_under_the_same_name_is_refused(finished, colors):
    runs, _ = finished
    with pytest.raises(UserError, match="another budget: give another --out"):
        tuned(colors, runs, trials=6)
    with pytest.raises(UserError, match="another spaces"):
        tuned(colors, runs, losses=("npairs_loss",))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"loss": "hard_triplet"}, "--loss has no place in a tuning"),
        ({"loss_options": {"margin": 1}}, "--loss-option has no place"),
        ({"eval_split": "test"}, "--eval-split has no place"),
        ({"learning_rate": 0.1}, "--learning-rate 0.1 is outside"),
        ({"distribute": "mirrored"}, "--distribute has no place"),
        ({"classes_per_batch": 7}, "--classes-per-batch 7"),
    ],
)
def test_settings_that_do_not_go_with_a_tuning_are_refused(colors, tmp_path, changes, words):
    with pytest.raises(UserError, match=words):
        module.tune(
            settings_of_trials(colors, **changes), losses=LOSSES, runs=tmp_path, progress=False,
            **BUDGET,
        )  # fmt: skip


def test_folds_need_two_classes_each(colors, tmp_path):
    with pytest.raises(UserError, match=r"--folds 5: .* has 8 training classes.*give 4 at most"):
        tuned(colors, tmp_path, folds=5)


def test_what_cannot_be_trained_at_the_end_is_refused_before_the_first_trial(
    colors, finished, tmp_path, monkeypatch
):
    _, tuning = finished
    single = shutil.copytree(colors, tmp_path / "single")
    for path in sorted((single / tuning.folds[0].names[0]).iterdir())[1:]:
        path.unlink()
    monkeypatch.setattr(module, "run_trial", None)  # would fail if it were called
    with pytest.raises(UserError, match="1 training class has one image"):
        tuned(single, tmp_path / "runs")


def test_names_of_losses_are_checked():
    assert losses_of("npairs_loss, hard_triplet") == ("npairs_loss", "hard_triplet")
    assert len(losses_of("baseline")) == 6
    assert len(losses_of("all")) == 25
    with pytest.raises(UserError, match="did you mean 'npairs_loss'"):
        losses_of("npair_loss")
    with pytest.raises(UserError, match="name some"):
        losses_of(",")


def test_a_tuning_of_no_loss_is_refused(colors, tmp_path):
    with pytest.raises(UserError, match="--losses: name some"):
        tuned(colors, tmp_path, losses=())


def test_two_processes_cannot_be_at_one_tuning(colors, tmp_path):
    folder = tmp_path / "folder" / ".tuning" / "tuning"
    with module._locked(folder), pytest.raises(UserError, match="another process"):
        tuned(colors, tmp_path)


def test_a_damaged_record_names_the_file(finished, tmp_path):
    runs, _ = finished
    folder = shutil.copytree(list_tunings(runs)[0], tmp_path / "x")
    (folder / "tuning.json").write_text('{"schema": 1, "dataset": 3}')
    with pytest.raises(UserError, match=r"tuning.json: damaged \(dataset\)"):
        read_tuning(folder)
    (folder / "tuning.json").write_text('{"schema": 9}')
    with pytest.raises(UserError, match="schema 9"):
        read_tuning(folder)


def test_without_optuna_a_tuning_leaves_nothing_behind(colors, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UserError, match=r"Optuna: run `pip install -e '.\[cluster\]'"):
        tuned(colors, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_cluster_is_reached_before_features_are_computed(colors, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "prepare", lambda _: pytest.fail("computed"))
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match="Ray is not installed"):
        tuned(colors, tmp_path, place=Place("ray"))
