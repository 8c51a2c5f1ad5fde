"""The page on slices."""

import numpy as np
import pytest

from retrieval.evaluation.binning import Groups
from retrieval.report.slices import slice_losses, slices_headline
from retrieval.runs.columns import column_groups
from retrieval.runs.run import Run
from tests.workbench.driver import open_page, parameters_of, text_of
from workbench import notebook as nb
from workbench.figures.slices import slice_forest
from workbench.layout.theme import plain
from workbench.pages.slices import page

pytestmark = pytest.mark.usefixtures("served")
A, B = "semi_hard_triplet-s0", "lifted_loss-s0"
LINK = {"a": A, "b": B, "protocol": "leave_one_out"}


@pytest.fixture
def groups(runs_root):
    return {name: [Run(runs_root / "photos" / name)] for name in (A, B)}


def test_a_pair_is_sliced_and_the_page_says_what_the_command_says(groups):
    app = open_page("slices", by="role", **LINK)
    sliced = slice_losses(groups, "role", "leave_one_out")
    assert plain(slices_headline(sliced)) in text_of(app)
    assert "right under A only" in text_of(app)
    assert len(app.dataframe[0].value) == len(sliced.table)


def test_one_loss_is_compared_with_the_rest(groups):
    app = open_page("slices", by="role", sliced="A alone", **LINK)
    sliced = slice_losses({A: groups[A]}, "role", "leave_one_out")
    assert plain(slices_headline(sliced)) in text_of(app)
    assert parameters_of(app)["sliced"] == "A alone"


def test_the_chosen_slice_is_in_the_link_and_its_queries_below():
    app = open_page("slices", by="role", **LINK)
    names = app.selectbox(key="slice").options
    app.selectbox(key="slice").set_value(names[1]).run()
    assert not app.exception
    assert parameters_of(app)["slice"] == names[1]
    app.selectbox(key="by").set_value("image_width").run()
    assert not app.exception
    assert "slice" not in parameters_of(app)


def test_nmi_says_that_it_has_no_slices():
    assert "no score per query" in text_of(open_page("slices", by="role", metric="nmi", **LINK))


def test_a_link_to_a_column_that_is_not_there_says_so_and_shows_another():
    app = open_page("slices", by="colour", **LINK)
    assert "colour" in "\n".join(e.value for e in (*app.warning, *app.info, *app.caption))


def test_run_a_alone_where_there_is_no_other():
    app = open_page("slices", a=A, b="none", protocol="leave_one_out", by="role")
    assert "Losses" not in [each.label for each in app.get("button_group")]


def test_the_export_holds_every_slice(monkeypatch):
    given = {}
    monkeypatch.setattr(page, "export_menu", lambda **parts: given.update(parts))
    open_page("slices", by="role", **LINK)
    assert len(given["tables"]["Slices"]()) == 2
    assert given["figures"]["Slices"]().data


def test_points_without_an_interval_are_hollow(groups):
    cut = column_groups(groups[A][0], "role", "leave_one_out")
    few = np.zeros(len(cut.codes), int)
    few[:12] = 1  # of two classes
    sliced = slice_losses(groups, Groups("c", ("<b>", "few"), few, "categories"), "leave_one_out")
    figure = slice_forest(sliced, chosen="few")
    a, b, difference = figure.data
    for trace in (a, b, difference):
        assert list(trace.marker.symbol) == ["circle", "circle-open"]
    assert difference.x[0] == pytest.approx(100 * sliced.table["difference"][0])
    assert figure.layout.yaxis.ticktext[0].startswith("&lt;b&gt;")


def test_notebooks_show_the_same(groups, capsys):
    table = nb.slices(groups, "role", "leave_one_out")
    sliced = slice_losses(groups, "role", "leave_one_out")
    assert slices_headline(sliced) in capsys.readouterr().out
    assert list(table.index) == list(sliced.by_difference()["slice"])
    assert nb.slice_forest(groups, "role", "leave_one_out").data
