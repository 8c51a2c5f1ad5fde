"""The page on thresholds."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from retrieval.evaluation.thresholds import thresholds
from retrieval.report.thresholds import percent
from retrieval.runs.run import Run
from retrieval.runs.thresholds import FILE, write_thresholds
from tests.workbench.driver import open_page, parameters_of, text_of
from workbench.analysis.thresholds import errors_at
from workbench.data import thresholds as data
from workbench.figures.thresholds import reliability, roc

pytestmark = pytest.mark.usefixtures("served")


def test_the_page_opens_at_the_equal_error_rate(runs_root):
    app = open_page("thresholds", a="semi_hard_triplet-s0")
    run = Run(runs_root / "photos" / "semi_hard_triplet-s0")
    rates = data.compute_thresholds(run, progress=False)
    eer = rates.points.iloc[0]
    assert percent(eer["fnmr"], eer["low"], eer["high"]) in text_of(app)
    shown = float(app.select_slider[0].value)
    assert shown == pytest.approx(eer["threshold"], abs=0.02)


def test_a_stricter_threshold_lets_fewer_through_and_is_in_the_link():
    app = open_page("thresholds")

    def false_match_rate():
        return float(app.metric[0].value.rstrip("%"))

    before = false_match_rate()
    strict = app.select_slider[0].options[-3]
    app.select_slider[0].set_value(strict).run()
    assert not app.exception
    assert false_match_rate() < before
    assert parameters_of(app)["threshold"] == strict


def test_a_run_of_too_many_pairs_names_the_command(monkeypatch):
    monkeypatch.setattr(data, "MOST_PAIRS", 10)
    data._thresholds.clear()
    assert "retrieval thresholds" in text_of(open_page("thresholds"))
    data._thresholds.clear()


def drawn():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(20), 5)
    x = rng.standard_normal((20, 6))[labels] + 0.8 * rng.standard_normal((100, 6))
    return thresholds(x, labels)


def test_pairs_that_a_threshold_gets_wrong_are_on_its_wrong_side():
    rates = drawn()
    place = len(rates.curve) // 2
    at = rates.curve["threshold"].iloc[place]
    found = errors_at(rates, place)
    assert len(found.let_through) == len(found.stopped) == 5
    for table in (found.let_through, found.worst_let_through):
        assert not table["same"].any()
        assert (table["similarity"] >= at).all()
    for table in (found.stopped, found.worst_stopped):
        assert table["same"].all()
        assert (table["similarity"] < at).all()
    assert found.let_through["similarity"].is_monotonic_increasing
    assert found.worst_let_through["similarity"].is_monotonic_decreasing
    both = pd.concat([found.let_through, found.worst_let_through])
    assert not both.duplicated(["query", "item"]).any()


def test_the_strictest_threshold_lets_nothing_through():
    rates = drawn()
    assert errors_at(rates, len(rates.curve) - 1).let_through.empty


def test_figures_show_percent():
    rates = drawn()
    eer = rates.points.iloc[0]
    figure = roc(rates.curve, eer, rates.curve.iloc[5])
    line = next(trace for trace in figure.data if trace.name == "accepted pairs of one class")
    assert max(line.x) <= 100
    assert np.interp(100 * eer["fmr"], line.x, line.y) == pytest.approx(
        100 * (1 - eer["fnmr"]), abs=2
    )
    points = reliability(rates.reliability).data[1]
    assert list(points.x) == pytest.approx(list(100 * rates.reliability["predicted"]))


def test_what_the_command_writes_is_shown_until_the_run_changes(runs_root, tmp_path):
    path = tmp_path / "runs" / "photos" / "copy"
    shutil.copytree(runs_root / "photos" / "semi_hard_triplet-s0", path)
    written = write_thresholds(path, progress=False)
    run = Run(path)
    assert list(written) == list(run.protocol_titles.values())
    read = data.read_thresholds(run, run.primary)
    assert read.to_dict() == written[run.protocol_titles[run.primary]].to_dict()
    content = json.loads((path / FILE).read_text())
    content["results"][run.primary]["distance"] = "cityblock"
    (path / FILE).write_text(json.dumps(content))
    assert data.read_thresholds(run, run.primary) is None
    (path / FILE).write_text("{")
    assert data.read_thresholds(run, run.primary) is None
