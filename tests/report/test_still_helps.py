"""The table "does a ranking loss still help?" says what its runs say, and which are missing."""

import pandas as pd
import pytest
import yaml

from benchmarks.still_helps import (
    CANNOT_TELL,
    FEATURES,
    HARMS,
    HEAD,
    HELPS,
    MISSCALED,
    NO_CLAIM,
    SWEEP,
    WHOLE,
    Effect,
    Kind,
    effects,
    finished,
    markdown,
    tally,
)
from retrieval.errors import UserError
from retrieval.experiment.session import BASELINE_LOSSES
from retrieval.experiment.sweep import read_grid
from retrieval.models.packages import PACKAGES
from retrieval.report.comparing import compare_losses
from retrieval.runs.writing import write_settings
from tests.report.helpers import make_run

NOISE = {"none": 1.5, "npairs_loss": 0.5, "lifted_loss": 4.0}


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    path = tmp_path_factory.mktemp("sweep") / "sweep.yaml"
    grids = [
        {"name": "features", "grid": {"loss": ["none"]}},
        {
            "name": "head",
            "base": {"freeze_backbone": True},
            "grid": {"loss": ["npairs_loss", "lifted_loss"], "seed": [0, 1]},
        },
        {"name": "whole", "grid": {"loss": ["npairs_loss", "lifted_loss"]}},
    ]
    path.write_text(yaml.safe_dump({"base": {"backbone": "efficientnet_lite1"}, "grids": grids}))
    return read_grid(path)


@pytest.fixture(scope="module")
def folder(grid, tmp_path_factory):
    """All runs of the sweep but those of the whole network."""
    root = tmp_path_factory.mktemp("still")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "retrieval.runs.evaluate.project", lambda x, *_, **__: pd.DataFrame(index=range(len(x)))
        )
        for number, (name, settings) in enumerate(grid.runs.items()):
            if not name.startswith("whole"):
                made = make_run(root, name, noise=NOISE[settings.loss], seed=number)
                write_settings(made.path, settings)
    (root / "runs" / "shapes").rename(root / "runs" / settings.dataset)
    return root / "runs"


def test_the_sweep_has_every_packaged_backbone_each_base_loss_and_three_ways():
    kinds = {}
    for settings in read_grid(SWEEP).runs.values():
        kinds.setdefault(Kind.of(settings), []).append(settings)
        assert (settings.dataset, settings.image_size) == ("grocery", 128)
    assert set(kinds) == {
        *(Kind(backbone, FEATURES) for backbone in PACKAGES),
        *(
            Kind(backbone, part, loss)
            for backbone in PACKAGES
            for part in (HEAD, WHOLE)
            for loss in BASELINE_LOSSES
            if part == HEAD or backbone != MISSCALED
        ),
    }
    assert {len(each) for kind, each in kinds.items() if kind.part == HEAD} == {3}


def test_gains_are_those_of_the_family_with_the_untrained_features(grid, folder):
    runs, _ = finished(grid, folder)
    found = {e.kind.loss: e for e in effects(runs, "leave_one_out", "map@r")}
    by_loss = {kind.loss: each for kind, each in runs.items()}
    expected = compare_losses(by_loss, "leave_one_out", "map@r").against("").set_index("name")
    assert set(found) == {"npairs_loss", "lifted_loss"}
    for loss, effect in found.items():
        row = expected.loc[loss]
        assert (effect.gain, effect.low, effect.high) == tuple(row[["difference", "low", "high"]])
    assert (found["npairs_loss"].verdict, found["lifted_loss"].verdict) == (HELPS, HARMS)
    assert found["npairs_loss"].kind == Kind("efficientnet_lite1", HEAD, "npairs_loss")


def test_the_page_has_a_row_per_kind_and_names_the_missing_runs(grid, folder):
    page = markdown(grid, folder)
    rows = [line for line in page.splitlines() if line.startswith("| efficientnet_lite1")]
    assert [line.split(" | ")[1:4] for line in rows] == [
        [FEATURES, "", "1"],
        [HEAD, "npairs_loss", "2"],
        [HEAD, "lifted_loss", "2"],
    ]
    assert rows[1].count("▲ helps") == rows[2].count("▼ harms") == 2
    assert "R@1: 1 of 2 help, 1 harm; MAP@R: 1 of 2 help, 1 harm." in page
    assert "By R@1, npairs_loss helps on the one backbone that is finished." in page
    assert "2 of 7 runs; whole network of efficientnet_lite1: npairs_loss, lifted_loss." in page


def test_nothing_to_compare_with_and_other_runs_are_errors_in_one_line(grid, folder, tmp_path):
    with pytest.raises(UserError, match="no finished run of untrained features"):
        markdown(grid, tmp_path)
    (run,) = (folder / "typefaces").glob("head-npairs_loss-seed1")
    settings = grid.runs[run.name]
    write_settings(run, settings.with_(freeze_backbone=False))
    with pytest.raises(UserError, match="head-npairs_loss-seed1: not the run that"):
        finished(grid, folder)
    write_settings(run, settings)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.01, 0.2, HELPS),
        (-0.2, -0.01, HARMS),
        (-0.1, 0.1, CANNOT_TELL),
        (0.0, 0.1, CANNOT_TELL),
        (float("nan"), float("nan"), NO_CLAIM),
    ],
)
def test_a_verdict_is_read_off_the_interval(low, high, verdict):
    effect = Effect(Kind("b", HEAD, "l"), "p", "recall@1", "", 0.0, low, high)
    assert effect.verdict == verdict
    assert tally([effect]).startswith(f"{int(verdict == HELPS)} of 1 help")
