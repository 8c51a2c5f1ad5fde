"""What is taken away from the app."""

import csv
import html
import io

import pandas as pd
import pytest

from retrieval.report.sections import make_report
from retrieval.report.verdicts import best_rows
from tests.workbench.driver import open_page
from workbench import figures
from workbench.data.loading import load_runs
from workbench.layout import exports
from workbench.pages.overview import page as overview
from workbench.session.selection import Selection


def test_a_table_comes_back_and_runs_no_formula():
    texts = ["=1+2", "kiwi", "=cmd|x", "-5", "-cmd|x", "+A1", "@A1", "-", "a-b"]
    numbers = [0.5, -0.25, 1.0, 0.0, -1e-9, 5, 6, 7, 8]
    mixed = [None, -0.5, "-2+3", True, "-1e-3", -7, "é", "", "x"]
    table = pd.DataFrame({"class": texts, "R@1": numbers, "-mixed": mixed})
    lines = list(csv.reader(exports.table_csv(table).decode("utf-8-sig").splitlines()))
    assert lines[0] == ["class", "R@1", "'-mixed"]
    read = list(zip(*lines[1:], strict=True))
    safe = ["'=1+2", "kiwi", "'=cmd|x", "-5", "'-cmd|x", "'+A1", "'@A1", "'-", "a-b"]
    assert list(read[0]) == safe
    assert [float(cell) for cell in read[1]] == numbers
    assert list(read[2]) == ["", "-0.5", "'-2+3", "True", "-1e-3", "-7", "é", "", "x"]
    assert table["class"][0] == "=1+2"


def test_every_row_says_under_which_protocol_it_is(runs_root):
    runs = [run for run in load_runs(runs_root)[0] if run.name != "lifted_loss-s0"]
    b, _, a = runs
    chosen = Selection("photos", runs, a, b, "leave_one_out", "leave-one-out", 10)
    given = pd.DataFrame({"run": ["x", "y"], "Distance": ["cosine", "euclidean"]})
    table = exports.with_protocol(given, chosen, [chosen.a])
    assert list(table) == ["run", "Distance", "data set", "split", "protocol", "seed"]
    assert table.iloc[1].tolist() == ["y", "euclidean", "photos", "test", "leave-one-out", 0]
    pair = exports.with_protocol(given[["run"]], chosen, [chosen.a, chosen.b])
    assert pair["distance"].tolist() == ["cosine"] * 2
    assert pair.filter(regex=" [ab]$").iloc[0].to_dict() == {
        "run a": "semi_hard_triplet-s0",
        "seed a": 0,
        "run b": "contrastive_loss-s0",
        "seed b": 0,
    }
    assert not {"seed", "run a"} & set(exports.with_protocol(given, chosen, chosen.runs))


@pytest.fixture
def made(runs_root, monkeypatch) -> dict[str, exports.Export]:
    """Title -> export of every menu that is drawn."""
    found: dict[str, exports.Export] = {}
    monkeypatch.setenv("RETRIEVAL_RUNS", str(runs_root))
    monkeypatch.setattr(exports, "draw_button", lambda one: found.update({one.title: one}))
    return found


def test_the_menu_gives_tables_with_their_protocol(made):
    open_page("retrieval", item="0", a="lifted_loss-s0", k="5")
    (export,) = made.values()
    table = pd.read_csv(io.BytesIO(export.make()))
    assert table["protocol"].tolist() == ["cross-store"] * 5
    assert table["run"].tolist() == ["lifted_loss-s0"] * 5


def test_a_figure_says_which_runs_and_protocol_it_is_about(made):
    protocol = "photos  ·  test split  ·  cross-store  ·  72 queries against 144 gallery items"
    open_page("failures", a="lifted_loss-s0")
    page = made["Ranks of the first relevant item (HTML)"].make().decode()
    assert (
        f"<p>{protocol}  ·  36 classes  ·  cosine distance  ·  run lifted_loss-s0, seed 0</p>"
        in page
    )
    open_page("compare", a="lifted_loss-s0", b="contrastive_loss-s1")
    assert (
        "runs lifted_loss-s0, seed 0; contrastive_loss-s0, seed 0; contrastive_loss-s1, seed 1</p>"
        in made["Win, tie, loss (HTML)"].make().decode()
    )
    open_page()
    assert "4 runs, seeds 0, 1</p>" in made["Recall at K (HTML)"].make().decode()
    training = made["R@1 during training (HTML)"].make().decode()  # not of the page's protocol
    assert "<p>photos  ·  4 runs, seeds 0, 1</p>" in training
    losses = pd.read_csv(io.BytesIO(made["Losses (CSV)"].make()))
    assert losses["runs"].tolist()[1] == "contrastive_loss-s0; contrastive_loss-s1"
    pairs = pd.read_csv(io.BytesIO(made["Paired tests (CSV)"].make()))
    assert "contrastive_loss-s0; contrastive_loss-s1" in {*pairs["runs a"], *pairs["runs b"]}
    open_page("methods")
    sizes = pd.read_csv(io.BytesIO(made["Class sizes (CSV)"].make()))
    assert not {"protocol", "run", "seed"} & set(sizes)
    assert set(sizes["data set"]) == {"photos"}


def test_a_figure_needs_no_network_and_uploads_nothing():
    figure = figures.win_tie_loss(3, 4, 5)
    html = exports.figure_html(figure, "Win, tie, loss", "<1> query").decode()
    assert "<h1>Win, tie, loss</h1><p>&lt;1&gt; query</p>" in html
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
    for row in (*best_rows(section.comparison), [*section.groups]):
        for cell in row:
            assert f"<td>{html.escape(cell)}</td>" in page
