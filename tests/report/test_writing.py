"""The files of a report: Markdown, CSV, LaTeX and the HTML page."""

import html
import io
import shutil
from pathlib import Path

import pandas as pd
import pytest

from retrieval.errors import UserError
from retrieval.report.sections import make_report
from retrieval.report.text import COLUMNS, TITLE, markdown_of, note_on
from retrieval.report.writing import page_writer, write_report
from retrieval.runs.store import open_run
from retrieval.runs.writing import write_settings
from retrieval.settings.recipes import load_recipe
from retrieval.settings.schema import TrainSettings
from tests.report.helpers import make_run
from workbench.report import write_page


def test_files(runs, tmp_path):
    sections = write_report(runs, tmp_path / "out", ["recall@1", "nmi"])
    markdown = (tmp_path / "out" / "report.md").read_text()
    assert "| **good** | 3 | 16 |" in markdown
    assert "bad_50%\\|run" in markdown
    table = pd.read_csv(io.StringIO((tmp_path / "out" / "report.csv").read_text()))
    assert len(table) == sum(len(s.table) for s in sections) == 4
    row = table.set_index("name").loc["good"]
    expected = next(s for s in sections if "good" in s.groups).table.set_index("name").loc["good"]
    assert row["recall@1 (%)"] == pytest.approx(100 * expected["recall@1"], abs=1e-6)
    assert row["best"]
    latex = (tmp_path / "out" / "report.tex").read_text()
    assert r"bad\_50\%|run & 1 & 16 &" in latex
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == 3
    width = len(r"lrrrr")
    for line in latex.splitlines():
        if line.endswith(r" \\"):
            assert line.count(" & ") == width - 1


def test_the_installed_workbench_draws_the_page_and_a_missing_one_is_named():
    assert page_writer() is write_page
    with pytest.raises(UserError, match="workbench"):
        page_writer("retrieval.reports.of.nobody")


def test_page_holds_figures_and_tables_and_needs_no_network(runs, tmp_path):
    write_page(make_report(runs), tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert page.count("plotly-graph-div") >= 2
    assert "<td><strong>good</strong></td>" in page  # the best, as in the other formats
    report = markdown_of(make_report(runs))
    assert "**good**" in report
    note = note_on(make_report(runs))
    assert "may be the best by R@1" in note
    for shared in (TITLE, note, *(f"<th>{title}</th>" for title in COLUMNS)):
        assert shared in html.unescape(page)
    assert all(text in report for text in (TITLE, note, " | ".join(COLUMNS)))
    assert "bad_50%|run" in page
    assert 'src="http' not in page
    assert "<script src" not in page


def test_published_figures_stand_beside_measured_ones(tmp_path):
    run = make_run(tmp_path, "bird", noise=0.6)
    recipe = load_recipe("cub200/npairs_loss")
    for changes, word in (
        ({}, "as published"),
        ({"steps": 5}, "not comparable: settings changed (steps 5)"),
    ):
        write_settings(run.path, recipe.train_settings(changes))
        write_report([open_run(run.path)], tmp_path / "out")
        text = (tmp_path / "out" / "report.md").read_text()
        (line,) = [line for line in text.splitlines() if "| R@1 |" in line and "cub200" in line]
        assert line.endswith(f"| 46.52 | {word} |")
        write_page(make_report([open_run(run.path)]), tmp_path / "page.html")
        page = (tmp_path / "page.html").read_text()
        assert f"<td>46.52</td><td>{word}</td>" in page
        for written in (text, page):
            assert f"cub200/npairs_loss: {recipe.described()}" in html.unescape(written)


def test_a_run_selected_on_the_test_set_is_marked_in_every_format(runs, tmp_path):
    chosen = {"loss": "bad", "seed": 0, "eval_split": "test", "use_checkpoint": "best"}
    copy = Path(shutil.copytree(runs[3].path, tmp_path / "shapes" / runs[3].name))
    write_settings(copy, TrainSettings(**chosen))
    fair, flattered = open_run(runs[0].path), open_run(copy)
    sections = write_report([fair, flattered], tmp_path)
    write_page(sections, tmp_path / "report.html")
    marked = "the checkpoint, or when to stop, was selected on the test set"
    for suffix, row in (("md", "bad_50%\\|run †"), ("html", "bad_50%|run †"),
                        ("tex", r"bad\_50\%|run$^\dagger$ & 1")):  # fmt: skip
        text = (tmp_path / f"report.{suffix}").read_text()
        assert row in text
        assert text.count(marked) == 1
    table = pd.read_csv(tmp_path / "report.csv").set_index("name")["selected_on_test"]
    assert table.to_dict() == {"good-seed0": False, "bad_50%|run": True}
    assert marked not in (write_report([fair], tmp_path) and (tmp_path / "report.md").read_text())
