"""``--loss all`` and ``--seeds``: which runs are made, under which names, and which are kept."""

import shutil

import pytest

from retrieval import load_catalog
from retrieval.errors import UserError
from retrieval.experiment import session as many_runs
from retrieval.experiment.session import BASELINE_LOSSES, run_session
from retrieval.runs.writing import run_config, write_config
from retrieval.settings.resolve import resolve

FAILS = 7  # a seed


@pytest.fixture
def made(monkeypatch):
    """Record what would be trained instead of training it."""
    calls = []

    def train(settings, *, runs, name, **options):
        folder = runs / settings.dataset / name
        if settings.seed == FAILS:
            raise UserError("step 3: the loss is nan")
        folder.mkdir(parents=True)
        catalog = load_catalog(settings.dataset, settings.data)
        write_config(folder, run_config(resolve(settings, catalog), catalog, {}))
        calls.append((name, settings.loss, settings.seed))
        return folder

    monkeypatch.setattr(many_runs, "train", train)
    return calls


@pytest.fixture
def changes(tiny):
    """The settings of ``tiny`` as a user would give them."""
    return {k: v for k, v in tiny.to_mapping().items() if v is not None}


def test_all_losses_with_seeds_are_the_untrained_network_and_each_loss_by_seed(
    changes, tmp_path, made, capsys
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
    assert run_session(changes, runs=tmp_path, seeds=2, evaluate=False) == paths
    assert made == [("npairs_loss-seed1", "npairs_loss", 1)]
    assert capsys.readouterr().out.count("exists; kept") == len(wanted) - 1


def test_one_that_fails_stops_no_other_and_is_named_at_the_end(changes, tmp_path, made, capsys):
    changes["seed"] = FAILS - 1
    for trained in ([6, 8], []):  # the same command again: only the one that failed
        with pytest.raises(UserError, match=r"^1 of 3 runs failed: semi_hard_triplet-seed7;"):
            run_session(changes, runs=tmp_path, seeds=3, evaluate=False)
        assert [seed for _, _, seed in made] == trained
        found = capsys.readouterr().err
        assert found == "error: semi_hard_triplet-seed7: step 3: the loss is nan\n"
        made.clear()


def test_runs_of_other_settings_are_not_kept_as_if_they_were_these(changes, tmp_path, made):
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


def test_a_kept_run_without_figures_is_named_among_those_that_failed(
    changes, tmp_path, made, capsys
):
    changes["seed"] = FAILS - 1
    with pytest.raises(UserError, match=r"^1 of 2 runs failed"):
        run_session(changes, runs=tmp_path, seeds=2, evaluate=False)
    capsys.readouterr()
    with pytest.raises(UserError, match=r"^2 of 2 runs failed: .*-seed6, semi_hard_triplet-seed7;"):
        run_session(changes, runs=tmp_path, seeds=2)
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("error: semi_hard_triplet-seed6: ")
    assert "is missing" in first
    assert second.endswith("the loss is nan")


def test_what_does_not_fit_the_data_set_is_refused_before_the_first_is_trained(
    changes, tmp_path, made
):
    changes |= {"classes_per_batch": 99, "loss": "all", "samples_per_class": 4}
    with pytest.raises(UserError, match=r"^semi_hard_triplet: --classes-per-batch 99, but"):
        run_session(changes, runs=tmp_path, evaluate=False)
    assert made == []


def test_a_name_is_the_prefix_of_several_runs(changes, tmp_path, made):
    run_session(changes, runs=tmp_path, seeds=2, name="mine", evaluate=False)
    assert [name for name, _, _ in made] == [
        "mine-semi_hard_triplet",
        "mine-semi_hard_triplet-seed1",
    ]


def test_an_option_that_one_of_all_losses_lacks_is_refused_before_the_first_is_trained(
    tmp_path, made
):
    with pytest.raises(UserError, match="option of npairs_loss 'margin'"):
        run_session({"loss": "all", "loss_options": {"margin": 0.5}}, runs=tmp_path)
    assert made == []


def test_what_is_about_losses_is_not_refused_for_the_untrained_network_among_all(tmp_path, made):
    with pytest.raises(UserError, match="lifted_loss cannot have a cross-batch memory"):
        run_session({"loss": "all", "memory_batches": 3}, runs=tmp_path)
    assert made == []


@pytest.mark.parametrize(
    ("given", "flags"),
    [
        ({"changes": {"steps": 5, "loss_options": {"margin": 1}}}, "drop --steps, --loss-options"),
        ({"changes": {}, "name": "x", "seeds": 2}, "drop --name, --seeds"),
    ],
)
def test_what_a_resumed_run_would_not_follow_is_refused(tmp_path, given, flags):
    with pytest.raises(UserError, match=flags):
        run_session(runs=tmp_path, resume_path=tmp_path / "folder" / "cut", **given)
