"""One process at a time makes a run."""

import pytest

from retrieval.errors import UserError
from retrieval.experiment.pipeline import resume, train
from retrieval.runs.lock import run_lock
from retrieval.runs.places import partial_path

OPTIONS = {"evaluate": False, "progress": False}


def test_a_run_that_another_process_makes_is_neither_trained_nor_resumed(settings, tmp_path):
    settings, path = settings.with_(loss="none"), tmp_path / "folder" / "x"
    with run_lock(path), pytest.raises(UserError, match=f"{path}.*another process"):
        train(settings, runs=tmp_path, name="x", overwrite=True, **OPTIONS)
    assert not partial_path(path).exists()
    assert train(settings, runs=tmp_path, name="x", **OPTIONS) == path
    path.rename(partial_path(path))  # as if it had been interrupted before its end
    with run_lock(path), pytest.raises(UserError, match=f"{path}.*another process"):
        resume(path, **OPTIONS)
    assert resume(path, **OPTIONS) == path
    assert [p.name for p in path.parent.iterdir()] == ["x"]
