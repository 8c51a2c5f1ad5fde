"""``--loss all`` and ``--seeds``: the runs that are made, their names, and those that are kept."""

import shutil

import pytest

from retrieval.datasets import load_catalog
from retrieval.errors import UserError
from retrieval.experiment import pipeline, session
from retrieval.experiment.session import BASELINE_LOSSES, FailedRuns, run_session
from retrieval.runs.resume import dataset_changes
from retrieval.runs.run import Run
from retrieval.runs.writing import run_config, write_config
from tests.datasets.helpers import write_classes

FAILS = 7  # a seed


@pytest.fixture
def made(monkeypatch):
    """Record what would be trained instead of training it."""
    calls = []

    def train_planned(planned, **options):
        if planned.settings.seed == FAILS:
            raise UserError("step 3: the loss is nan")
        planned.path.mkdir(parents=True)
        write_config(planned.path, run_config(planned.settings, planned.catalog, {}))
        calls.append((planned.path.name, planned.settings.loss, planned.settings.seed))
        return planned.path

    monkeypatch.setattr(session, "train_planned", train_planned)
    return calls


@pytest.fixture
def changes(tiny):
    """The settings of ``tiny`` as a user would give them."""
    return {k: v for k, v in tiny.to_mapping().items() if v is not None}


def test_all_losses_with_seeds_make_one_untrained_run_and_a_run_per_loss_and_seed(
    changes, tmp_path, made
):
    changes |= {"loss": "all", "samples_per_class": 4}
    paths = run_session(changes, runs=tmp_path, seeds=2, evaluate=False)
    wanted = [("untrained", "none", 0)]
    for loss in BASELINE_LOSSES:
        wanted += [(loss, loss, 0), (f"{loss}-seed1", loss, 1)]
    assert made == wanted
    assert [path.name for path in paths] == [name for name, _, _ in wanted]
    # The same command again makes only what is not there.
    shutil.rmtree(tmp_path / "folder" / "npairs_loss-seed1")
    made.clear()
    lines = []
    options = {"evaluate": False, "announce": lines.append}
    assert run_session(changes, runs=tmp_path, seeds=2, **options) == paths
    assert made == [("npairs_loss-seed1", "npairs_loss", 1)]
    assert sum(line.endswith("exists; kept") for line in lines) == len(wanted) - 1


def test_what_was_left_out_of_the_data_is_said_once_and_recorded_by_every_run(
    changes, tmp_path, made
):
    root = write_classes(tmp_path / "images", dict.fromkeys("abcdef", 4))
    (root / "a/scan.tif").write_bytes(b"II")
    lines = []
    changes |= {"data": str(root), "classes_per_batch": 2}
    paths = run_session(
        changes, runs=tmp_path / "runs", seeds=2, evaluate=False, announce=lines.append
    )
    assert len([line for line in lines if ".tif" in line]) == 1
    for path in paths:
        (remark,) = Run(path).dataset_config.remarks
        assert remark in lines
    # Another remark does not make another data set.
    (root / "a/scan.tif").unlink()
    assert dataset_changes(Run(paths[0]).dataset_config, load_catalog("folder", root)) == []


def test_a_run_that_fails_does_not_stop_the_others_and_is_named_at_the_end(changes, tmp_path, made):
    changes["seed"] = FAILS - 1
    for trained in ([6, 8], []):  # the same command again: only the one that failed
        failures = {}
        with pytest.raises(
            FailedRuns, match=r"^1 of 3 runs failed: semi_hard_triplet-seed7;"
        ) as end:
            run_session(
                changes,
                runs=tmp_path,
                seeds=3,
                evaluate=False,
                on_failure=failures.__setitem__,
            )
        assert [seed for _, _, seed in made] == trained
        assert {k: str(v) for k, v in failures.items()} == {
            "semi_hard_triplet-seed7": "step 3: the loss is nan"
        }
        assert end.value.failed == failures
        assert [path.name for path in end.value.folders] == [
            "semi_hard_triplet-seed6",
            "semi_hard_triplet-seed8",
        ]
        made.clear()


def test_finished_runs_of_other_settings_are_refused(changes, tmp_path, made):
    run_session(changes, runs=tmp_path, seeds=2, evaluate=False)
    shutil.rmtree(tmp_path / "folder" / "semi_hard_triplet")
    made.clear()
    changes["learning_rate"] = 0.5
    told = (
        r"triplet-seed1 was trained with other settings \(learning_rate = 0.01, now 0.5\): .*--ov"
    )
    with pytest.raises(UserError, match=told):
        run_session(changes, runs=tmp_path, seeds=2, evaluate=False)
    assert made == []


def test_a_finished_run_without_metrics_counts_as_failed(changes, tmp_path, made):
    changes["seed"] = FAILS - 1
    with pytest.raises(UserError, match=r"^1 of 2 runs failed"):
        run_session(changes, runs=tmp_path, seeds=2, evaluate=False)
    with pytest.raises(FailedRuns, match=r"^2 of 2 runs failed: .*-seed6, .*-seed7;") as end:
        run_session(changes, runs=tmp_path, seeds=2)
    first, second = end.value.failed.values()
    assert "is missing" in str(first)
    assert str(second).endswith("the loss is nan")


def test_settings_that_do_not_fit_the_data_set_are_refused_before_any_training(
    changes, tmp_path, made
):
    changes |= {"classes_per_batch": 99, "loss": "all", "samples_per_class": 4}
    with pytest.raises(UserError, match=r"^semi_hard_triplet: --classes-per-batch 99"):
        run_session(changes, runs=tmp_path, evaluate=False)
    assert made == []


def test_a_name_is_the_prefix_of_several_runs(changes, tmp_path, made):
    run_session(changes, runs=tmp_path, seeds=2, name="mine", evaluate=False)
    assert [name for name, _, _ in made] == [
        "mine-semi_hard_triplet",
        "mine-semi_hard_triplet-seed1",
    ]


def test_an_option_that_one_of_the_losses_lacks_is_refused_before_any_training(tmp_path, made):
    with pytest.raises(UserError, match=r"npairs_loss.*'margin'"):
        run_session({"loss": "all", "loss_options": {"margin": 0.5}}, runs=tmp_path)
    assert made == []


def test_settings_of_a_loss_are_not_refused_for_the_untrained_network_of_loss_all(tmp_path, made):
    with pytest.raises(UserError, match=r"lifted_loss .*cross-batch memory"):
        run_session({"loss": "all", "memory_batches": 3}, runs=tmp_path)
    assert made == []


@pytest.mark.parametrize(
    ("given", "flags"),
    [
        ({"changes": {"steps": 5, "loss_options": {"margin": 1}}}, r"drop --steps, --loss-option$"),
        ({"changes": {}, "name": "x", "seeds": 2}, "drop --name, --seeds"),
    ],
)
def test_settings_that_a_resumed_run_would_ignore_are_refused(tmp_path, given, flags):
    with pytest.raises(UserError, match=flags):
        run_session(runs=tmp_path, resume_path=tmp_path / "folder" / "cut", **given)


def test_settings_are_checked_and_resolved_once_per_run(changes, tmp_path, made, monkeypatch):
    counted = []
    for module, name in ((session, "check"), (pipeline, "check"), (pipeline, "resolve")):
        function = getattr(module, name)

        def count(settings, *rest, function=function, name=name):
            counted.append((name, settings.loss, settings.seed))
            return function(settings, *rest)

        monkeypatch.setattr(module, name, count)
    monkeypatch.setattr(pipeline, "train_planned", session.train_planned)  # what `made` records
    run_session(changes, runs=tmp_path, evaluate=False)
    run_session(changes | {"loss": "npairs_loss"}, runs=tmp_path, seeds=2, evaluate=False)
    runs = [("semi_hard_triplet", 0), ("npairs_loss", 0), ("npairs_loss", 1)]
    assert sorted(counted) == sorted((name, *run) for name in ("check", "resolve") for run in runs)
    assert [tuple(each[1:]) for each in made] == runs
