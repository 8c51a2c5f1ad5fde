"""A sweep makes every run of its file exactly once, under a name that spells out its settings."""

import pytest

from retrieval.errors import UserError
from retrieval.experiment import session
from retrieval.experiment.session import FailedRuns
from retrieval.experiment.sweep import sweep
from retrieval.report.sections import group_runs
from retrieval.runs.store import open_run


def test_a_killed_sweep_continues_and_keeps_its_finished_runs(write, tiny, tmp_path, monkeypatch):
    base = {k: v for k, v in tiny.to_mapping().items() if v is not None} | {"steps": 2}
    content = {"base": base, "grid": {"loss": ["npairs_loss"], "seed": [0, 1]}}
    path, runs, train = write(content), tmp_path / "runs", session.train_planned

    def killed(planned, **options):
        if planned.settings.seed == 1:
            raise KeyboardInterrupt
        return train(planned, **options)

    monkeypatch.setattr(session, "train_planned", killed)
    with pytest.raises(KeyboardInterrupt):
        sweep(path, runs=runs, progress=False)
    monkeypatch.setattr(session, "train_planned", train)
    first = runs / "folder" / "npairs_loss-seed0" / "metrics.json"
    before = first.stat().st_mtime_ns
    lines = []
    folders = sweep(path, runs=runs, progress=False, announce=lines.append)
    assert first.stat().st_mtime_ns == before
    assert lines[0].endswith("npairs_loss-seed0 exists; kept")
    found = [open_run(folder) for folder in folders]
    assert [run.settings.seed for run in found] == [0, 1]
    assert {name: len(group) for name, group in group_runs(found).items()} == {"npairs_loss": 2}
    # The same names, other settings: not these runs.
    content["base"]["learning_rate"] = 0.5
    with pytest.raises(UserError, match=r"seed0 .*\(learning_rate"):
        sweep(write(content), runs=runs, progress=False)
    content["base"] |= {"learning_rate": tiny.learning_rate, "check_memory": False}
    assert sweep(write(content), runs=runs, progress=False) == folders


def test_a_failed_point_does_not_stop_the_others_and_is_named(write, tiny, tmp_path, monkeypatch):
    base = {k: v for k, v in tiny.to_mapping().items() if v is not None}
    path, trained = write({"base": base, "grid": {"learning_rate": [1.0, 0.1], "seed": [0]}}), []

    def diverges(planned, **options):
        trained.append(planned.path.name)
        raise UserError("step 2: the loss is nan")

    monkeypatch.setattr(session, "train_planned", diverges)
    names = [f"semi_hard_triplet-learning_rate{rate}-seed0" for rate in (1.0, 0.1)]
    failures = {}
    with pytest.raises(FailedRuns) as caught:
        sweep(path, runs=tmp_path / "runs", on_failure=failures.__setitem__)
    assert trained == names
    assert str(caught.value).startswith(f"{path}: 2 of 2 runs failed")
    assert ", ".join(names) in str(caught.value)
    assert caught.value.failed == failures
    assert list(failures) == names


def test_every_point_is_checked_against_its_data_set_before_the_first(
    write, tiny, tmp_path, monkeypatch
):
    base = {k: v for k, v in tiny.to_mapping().items() if v is not None}
    path, trained = write({"base": base, "grid": {"classes_per_batch": [2, 99]}}), []
    monkeypatch.setattr(session, "train_planned", lambda *_, **__: trained.append(1))
    with pytest.raises(UserError) as caught:
        sweep(path, runs=tmp_path / "runs")
    where = f"{path}: semi_hard_triplet-classes_per_batch99: --classes-per-batch 99, but"
    assert str(caught.value).startswith(where)
    assert trained == []
