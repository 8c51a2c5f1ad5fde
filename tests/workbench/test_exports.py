"""What is taken away from the app."""

import io

import pandas as pd

from retrieval.report import make_report
from retrieval.report_text import pair_rows
from tests.workbench.test_pages import open_page
from workbench import exports, figures
from workbench.loading import load_runs
from workbench.pages import overview


def test_a_table_comes_back_and_runs_no_formula():
    table = pd.DataFrame({"class": ["=1+2", "kiwi", "=cmd|x", "-5"], "R@1": [0.5, -0.25, 1.0, 0.0]})
    read = pd.read_csv(io.BytesIO(exports.table_csv(table)))
    assert read["class"].tolist() == ["'=1+2", "kiwi", "'=cmd|x", "-5"]
    assert read["R@1"].tolist() == [0.5, -0.25, 1.0, 0.0]
    assert table["class"][0] == "=1+2"


def test_a_figure_needs_no_network_and_uploads_nothing():
    figure = figures.win_tie_loss(3, 4, 5)
    html = exports.figure_html(figure, "Win, tie, loss").decode()
    assert "Plotly.newPlot" in html
    assert "<script src=" not in html
    assert '"showSendToCloud": false' in html
    assert figure.layout.title.text is None


def test_the_report_of_the_app_is_that_of_the_command(runs_root, monkeypatch):
    given: dict = {}
    monkeypatch.setenv("RETRIEVAL_RUNS", str(runs_root))
    monkeypatch.setattr(overview, "export_menu", lambda **parts: given.update(parts))
    open_page(a="lifted_loss-s0")
    name, make = given["files"]["Report (HTML)"]
    page = make().decode()
    assert name == "photos-cross-store-report.html"
    assert page.count("Plotly.newPlot") == 2
    assert "<script src=" not in page
    assert "data:image/webp;base64," in page
    assert "photos: cross-store" in page
    assert "leave-one-out" not in page
    assert "72 queries" in page
    sections = make_report(load_runs(runs_root)[0])
    (section,) = (s for s in sections if s.title == "cross-store")
    assert set(section.groups) == {"semi_hard_triplet-s0", "contrastive_loss", "lifted_loss-s0"}
    for row in (*pair_rows(section), [*section.groups]):
        for cell in row:
            assert f"<td>{cell}</td>" in page
