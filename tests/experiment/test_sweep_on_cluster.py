"""A sweep on a cluster: the same runs as here, whatever fails or is lost."""

import pytest

from retrieval.errors import UserError
from retrieval.experiment.session import FailedRuns
from retrieval.experiment.sweep import sweep
from retrieval.experiment.tasks import Place
from tests.experiment.helpers import files_of


@pytest.fixture
def base(tiny):
    return {k: v for k, v in tiny.to_mapping().items() if v is not None} | {"steps": 4}


@pytest.mark.usefixtures("machines", "_apart_and_quick")
def test_a_sweep_on_a_cluster_makes_the_runs_that_it_makes_here(write, base, tmp_path):
    path = write({"base": base, "grid": {"learning_rate": [0.01, 1e30]}})
    lines, failures, views = [], {}, []
    options = {"announce": lines.append, "on_failure": failures.__setitem__}
    with pytest.raises(FailedRuns, match="1 of 2 runs failed"):
        sweep(path, runs=tmp_path / "there", place=Place("ray"), watch=views.append, **options)
    (failed,) = failures
    assert failed.endswith("learning_rate1e+30")
    assert lines[0].startswith("2 runs with 1 CPU each on 3 nodes: ")
    assert (views[-1].total, views[-1].finished, views[-1].failed) == (2, 1, 1)
    with pytest.raises(FailedRuns):
        sweep(path, runs=tmp_path / "here", progress=False)
    (there,), (here,) = ((tmp_path / name / "folder").glob("s*0.01") for name in ("there", "here"))
    there, here = files_of(there), files_of(here)
    assert set(there) == set(here)
    for name in ("embeddings.npy", "metrics.json", "history.csv"):
        assert there[name] == here[name]


def test_numbers_that_cannot_be_meant_are_refused():
    with pytest.raises(UserError, match="--cpus 0: give a number above 0"):
        Place("ray", cpus=0)
    with pytest.raises(UserError, match=r"--gpus 1.5: give a whole number"):
        Place("ray", gpus=1.5)
    with pytest.raises(UserError, match="--retries -1: give 0 or more"):
        Place("ray", retries=-1)
    with pytest.raises(UserError, match="--on 'slurm': give local, ray"):
        Place("slurm")
