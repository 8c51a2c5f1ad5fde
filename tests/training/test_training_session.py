"""``--loss all`` and ``--seeds``: which runs are made, under which names, and which are kept."""

import pytest

from retrieval import training_session
from retrieval.errors import UserError
from retrieval.training_session import BASELINE_LOSSES, run_session


@pytest.fixture
def made(monkeypatch):
    """Record what would be trained instead of training it."""
    calls = []

    def train(settings, *, runs, name, **options):
        folder = runs / settings.dataset / name
        folder.mkdir(parents=True)
        calls.append((name, settings.loss, settings.seed))
        return folder

    monkeypatch.setattr(training_session, "train", train)
    return calls


def test_all_losses_with_seeds_are_the_untrained_network_and_each_loss_by_seed(
    tiny, tmp_path, made, capsys
):
    changes = {k: v for k, v in tiny.to_mapping().items() if v is not None}
    changes |= {"loss": "all", "samples_per_class": 4}
    paths = run_session(changes, runs=tmp_path, seeds=2, evaluate=False)
    wanted = [("untrained", "none", 0)]
    for loss in BASELINE_LOSSES:
        wanted += [(loss, loss, 0), (f"{loss}-seed1", loss, 1)]
    assert made == wanted
    assert [path.name for path in paths] == [name for name, _, _ in wanted]
    # The same command again makes only what is not there.
    (tmp_path / "folder" / "npairs_loss-seed1").rmdir()
    made.clear()
    assert run_session(changes, runs=tmp_path, seeds=2, evaluate=False) == paths
    assert made == [("npairs_loss-seed1", "npairs_loss", 1)]
    assert capsys.readouterr().out.count("exists; kept") == len(wanted) - 1


def test_a_name_is_the_prefix_of_several_runs(tiny, tmp_path, made):
    changes = {k: v for k, v in tiny.to_mapping().items() if v is not None}
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
