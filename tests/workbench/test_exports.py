"""What is taken away from the app."""

import io

import pandas as pd

from workbench import exports, figures


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


def test_the_report_is_whole_and_needs_no_network(runs_root, monkeypatch):
    from tests.workbench.test_pages import open_page
    from workbench import tables
    from workbench.report import report_html

    monkeypatch.setenv("RETRIEVAL_RUNS", str(runs_root))
    chosen = open_page(a="lifted_loss-s0").session_state["selection"]
    results = tables.results_table(chosen.runs, chosen.protocol)
    curves = {"lifted_loss": tables.recall_curve(chosen.neighbours)}
    page = report_html(chosen, results, curves).decode()
    assert page.count("Plotly.newPlot") == 2
    assert "<script src=" not in page
    assert "data:image/webp;base64," in page
    for loss in ("semi_hard_triplet", "contrastive_loss", "lifted_loss"):
        assert f"<td>{loss}</td>" in page
    assert "72 queries" in page
