"""The page on bytes per vector, its figure, and the same in notebooks and reports."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from retrieval.errors import UserError
from retrieval.report.compression import (
    cost_line,
    family_line,
    forms_of,
    headline,
    nested_head,
    nested_of,
    nested_pairs,
    nested_rows,
    share_in_words,
    smallest_line,
    table_head,
)
from retrieval.report.sections import make_report
from retrieval.report.text import markdown_of
from retrieval.runs.compression import write_compression
from retrieval.runs.run import Run
from tests.runs.helpers import edit
from tests.workbench.driver import open_page, parameters_of, text_of
from workbench import notebook as nb
from workbench.figures.compression import bytes_chart
from workbench.layout.theme import plain
from workbench.pages.bytes import page
from workbench.report import page_html

A, B = "semi_hard_triplet-s0", "contrastive_loss-s0"
LINK = {"a": A, "b": B, "protocol": "leave_one_out"}


@pytest.fixture(scope="module")
def compressed(runs_root, tmp_path_factory):
    """Run A, the same loss trained at several widths, and a loss with two seeds."""
    root = tmp_path_factory.mktemp("compressed")
    for name in (A, B, "contrastive_loss-s1"):
        shutil.copytree(runs_root / "photos" / name, root / "photos" / name)
    nested = root / "photos" / "nested"
    shutil.copytree(runs_root / "photos" / A, nested)
    edit(nested, "config.yaml", "settings", "matryoshka", to="16,32")
    for path in sorted((root / "photos").iterdir()):
        write_compression(path, progress=False)
    return root


@pytest.fixture
def shown(compressed, monkeypatch):
    monkeypatch.setenv("RETRIEVAL_RUNS", str(compressed))
    return compressed


@pytest.fixture(scope="module")
def groups(compressed):
    folder = compressed / "photos"
    return {
        A: [Run(folder / A)],
        "nested": [Run(folder / "nested")],
        "contrastive_loss": [Run(folder / f"contrastive_loss-s{seed}") for seed in (0, 1)],
    }


@pytest.mark.slow
def test_the_page_says_what_the_command_says(shown, groups):
    app = open_page("bytes", **LINK)
    forms = forms_of(A, groups[A], "leave_one_out")
    assert plain(headline(forms)) in text_of(app)
    assert "fitted on the 216 vectors" in text_of(app)
    assert list(app.dataframe[0].value["Bytes"])[:2] == ["256", "128"]
    assert "256 centers need as many" in text_of(app)


def test_the_widths_of_a_training_at_several_stand_beside_the_plain_loss(shown, groups):
    app = open_page("bytes", **LINK)
    wanted = nested_of(groups, A, "nested", "leave_one_out")
    tables = [each.value for each in app.dataframe if "Dimensions" in each.value]
    assert tables[0].to_numpy().tolist() == nested_rows(wanted)
    assert "beside" in text_of(app)


def test_the_choice_of_losses_and_the_metric_are_in_the_link(shown):
    app = open_page("bytes", losses="A alone", metric="map@r", **LINK)
    assert parameters_of(app)["losses"] == "A alone"
    assert "MAP@R [95%]" in app.dataframe[0].value
    assert len(app.tabs) == 1


def test_a_run_without_forms_says_the_command(served):
    app = open_page("bytes", **LINK)
    assert f"{A} --compress" in app.code[0].value
    assert "not evaluated" in text_of(app).replace("\\", "")


def test_losses_that_cannot_be_shown_are_named(compressed, tmp_path, monkeypatch):
    root = shutil.copytree(compressed, tmp_path / "runs")
    (root / "photos" / B / "compression.json").unlink()
    monkeypatch.setenv("RETRIEVAL_RUNS", str(root))
    app = open_page("bytes", **LINK)
    assert "1 not shown" in [each.label for each in app.expander]


def test_nmi_says_that_it_has_no_forms(shown):
    app = open_page("bytes", metric="nmi", **LINK)
    assert "no score per query" in text_of(app)
    assert not app.code  # no command helps


def test_widths_that_cannot_be_compared_say_why(shown, monkeypatch):
    error = UserError("not evaluated at width 32")
    monkeypatch.setattr(page, "nested_forms", lambda *_: error)
    app = open_page("bytes", **LINK)
    (said,) = (each.markdown[0].value for each in app.expander if each.label == "1 not shown")
    assert " beside " in said
    assert "not evaluated at width 32" in said


def test_the_figure_says_in_words_what_it_shows(shown, groups):
    (chart,) = open_page("bytes", **LINK).get("plotly_chart")
    forms = forms_of(A, groups[A], "leave_one_out")
    assert f": {headline(forms)}." in chart.proto.alt


def test_the_export_holds_every_form(shown, monkeypatch):
    given = {}
    monkeypatch.setattr(page, "export_menu", lambda **parts: given.update(parts))
    open_page("bytes", **LINK)
    table = given["tables"]["Forms"]()
    assert {"loss", "bytes", "cost_low"} <= set(table)
    assert table["loss"].nunique() == 3
    assert given["figures"]["Bytes per vector"]().data


def test_the_figure_has_a_color_per_loss_and_a_symbol_per_kind(groups):
    forms = [forms_of(title, runs, "leave_one_out") for title, runs in groups.items()]
    figure = bytes_chart(forms)
    points = [trace for trace in figure.data if trace.x[0] is not None]
    assert len({trace.marker.color for trace in points}) == 3
    int8 = next(t for t in points if t.marker.symbol == "diamond")
    row = forms[0].table.set_index("form").loc["int8"]
    assert int8.y[0] == pytest.approx(100 * row["value"])
    assert int8.y[0] - int8.error_y.arrayminus[0] == pytest.approx(
        100 * (forms[0].table["value"][0] - row["cost_high"])
    )
    assert "64 bytes per vector, 25% of float32" in int8.hovertext[0]
    assert figure.layout.xaxis.type == "log"


def test_names_in_the_figure_are_no_markup(groups):
    forms = [forms_of("<b>&", groups[A], "leave_one_out")]
    for trace in bytes_chart(forms).data:
        assert "<b>&</b>" not in str(trace.hovertext)
        assert trace.name != "<b>&"


def test_seeds_are_counted_and_a_single_one_is_said(groups):
    two = forms_of("c", groups["contrastive_loss"], "leave_one_out")
    assert two.n_seeds == 2
    full = [run.result("leave_one_out").metric("recall@1").value
            for run in groups["contrastive_loss"]]  # fmt: skip
    assert two.table["value"][0] == pytest.approx(np.mean(full))


def test_notebooks_show_the_same(groups, capsys):
    table = nb.bytes_table(groups, "leave_one_out")
    said = capsys.readouterr().out
    assert headline(forms_of(A, groups[A], "leave_one_out")) in said
    assert "cut off at 16 dimensions, nested" in said
    assert table.loc[(A, "int8"), "Bytes"] == "64"
    assert nb.bytes_chart(groups, "leave_one_out").data


def test_reports_show_the_same(groups):
    runs = [run for each in groups.values() for run in each]
    sections = make_report(runs)
    text = markdown_of(sections)
    assert "Smaller forms of contrastive_loss" in text
    assert f"Widths of nested beside {A}" in text
    assert "| int8 | 64 | 25% |" in text
    assert "of its first 16 and 32 dimensions (Kusupati et al. 2022)." in text
    assert "<h3>Bytes per vector</h3>" in page_html(sections)


def test_reports_without_forms_say_nothing_of_them(runs_root):
    text = markdown_of(make_report([Run(runs_root / "photos" / A)]))
    assert "Smaller forms" not in text


def test_no_heading_speaks_of_intervals_that_too_few_classes_do_not_have(groups):
    forms = forms_of(A, groups[A], "leave_one_out")
    assert forms.has_intervals
    ends = [name for name in forms.table if name.endswith(("low", "high"))]
    few = replace(forms, table=forms.table.assign(**dict.fromkeys(ends, np.nan)))
    assert not few.has_intervals
    assert table_head("recall@1")[3:5] == ["R@1 [95%]", "Cost [95%]"]
    assert table_head("recall@1", intervals=few.has_intervals)[3:5] == ["R@1", "Cost"]
    assert "their 95% intervals hold" in family_line(forms)
    assert "without intervals" in family_line(few)
    assert nested_head("recall@1", intervals=False)[4:] == [
        "Matryoshka minus plain", "Matryoshka minus PCA",
    ]  # fmt: skip


def test_a_loss_is_paired_with_the_same_loss_at_its_full_width_only(groups):
    assert nested_pairs(groups) == [(A, "nested")]
    found = nested_of(groups, A, "nested", "leave_one_out").table
    assert found["width"].tolist() == [64, 32, 16]
    assert found["gain"].tolist() == [0, 0, 0]  # the same embeddings
    assert found["over_pca"].isna().tolist() == [True, False, False]
    assert len(nested_head("recall@1")) == len(nested_rows(nested_of(groups, A, "nested"))[0])


def row(**values):
    return {
        "form": "int8", "cost": 0.001, "cost_low": -0.003, "cost_high": 0.005, "share": 0.25,
        "rule": "bootstrap",
    } | values  # fmt: skip


def test_words_of_costs():
    assert cost_line(row(), "recall@1") == (
        "int8 costs 0.1 points [-0.3, 0.5] and needs a quarter of the memory"
    )
    gains = row(form="pq-8", cost=-0.02, cost_low=-0.05, cost_high=0.01, share=1 / 64)
    assert cost_line(gains, "recall@1") == (
        "product quantization, 8 bytes gains 2.0 points [-1.0, 5.0] and needs 1/64 of the memory"
    )
    same = row(cost=0.0, cost_low=-0.004, cost_high=0.004, rule="no change")
    assert "costs 0.0 points [-0.4, 0.4], since no query changed, and" in cost_line(same, "map@r")
    assert "[" not in cost_line(row(cost_low=np.nan, cost_high=np.nan), "recall@1")
    assert share_in_words(0.3) == "30% of the memory"


def test_the_smallest_form_that_costs_little(groups):
    forms = forms_of(A, groups[A], "leave_one_out")
    table = forms.table.assign(cost_high=np.where(forms.table["form"] == "float16", 0.004, 0.5))
    some = smallest_line(type(forms)(**{**vars(forms), "table": table}))
    assert "float16 (128 bytes)" in some
    none = smallest_line(type(forms)(**{**vars(forms), "table": table.assign(cost_high=0.5)}))
    assert none == "of no form it is certain that it costs less than 1 point of R@1"
    unknown = table.assign(cost_high=np.nan)
    assert "too few" in smallest_line(type(forms)(**{**vars(forms), "table": unknown}))


def test_the_files_are_json_without_nan(compressed):
    text = (compressed / "photos" / A / "compression.json").read_text()
    json.loads(text, parse_constant=lambda name: pytest.fail(name))
