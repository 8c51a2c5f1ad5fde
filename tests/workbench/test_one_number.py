"""One quantity is one number on every page, in every file and in notebooks."""

import html
import io
import re

import pandas as pd
import pytest

import workbench.notebook as nb
from retrieval.evaluation.metrics import metric
from retrieval.report.comparing import compare_losses, estimates
from retrieval.report.sections import Tests as Options
from retrieval.report.sections import make_report
from retrieval.report.text import csv_of, markdown_of
from retrieval.report.verdicts import interval_text
from retrieval.runs.run import Run
from tests.workbench.driver import loss_tables, open_page, text_of
from workbench.analysis.tables import results_table
from workbench.layout.theme import plain
from workbench.report import page_html

PROTOCOL = "query_gallery"


@pytest.mark.parametrize("name", ["recall@1", "map@r", "nmi"])
def test_every_page_and_file_prints_the_same_values_intervals_and_leads(runs_root, served, name):
    runs = [Run(path) for path in sorted((runs_root / "photos").iterdir())]
    groups = {
        "contrastive_loss": runs[:2],
        "lifted_loss": [runs[2]],
        "semi_hard_triplet": [runs[3]],
    }
    shown = metric(name)
    values = {title: estimates(group, PROTOCOL, [name])[name] for title, group in groups.items()}
    wanted = {t: shown.format(one.value, one.low, one.high) for t, one in values.items()}
    compared = compare_losses(groups, PROTOCOL, name)
    best, other = compared.summary["name"][:2]
    lead = compared.summary.iloc[0]
    again = compare_losses(dict(reversed(groups.items())), PROTOCOL, name)
    pd.testing.assert_frame_equal(again.summary, compared.summary)
    pd.testing.assert_frame_equal(again.pairs, compared.pairs)
    lead_text = shown.format_difference(lead["lead"], lead["lead_low"], lead["lead_high"])

    overview = open_page(metric=name)
    table = loss_tables(overview)[0].set_index("Loss")[shown.title]
    assert {title.split(" · ")[-1].removesuffix("-s0"): text for title, text in table.items()} == {
        title: text.split(" [")[0] for title, text in wanted.items()
    }
    card = next(each for each in overview.metric if each.label == shown.title)
    assert card.value == shown.format_with_unit(values[best].value)
    low, high = shown.format(values[best].low), shown.format(values[best].high)
    assert plain(f"95% interval {low} to {high}") in text_of(overview) or (
        f"95% interval {low} to {high}" in text_of(overview)
    )

    if not compared.reason:
        span = interval_text(shown, lead["lead_low"], lead["lead_high"])
        assert span in text_of(overview)  # on the card
        assert plain(span) in text_of(overview)  # in the sentence below

    (section,) = (
        each
        for each in make_report(runs, tests=Options(metric=name))
        if each.protocol.name == PROTOCOL
    )
    files = {"Markdown": markdown_of([section]), "HTML": html.unescape(page_html([section]))}
    for file, text in files.items():
        for cell in (*wanted.values(), lead_text):
            assert cell in text, (file, cell)
    csv = pd.read_csv(io.StringIO(csv_of([section]))).set_index("name")
    column = shown.column
    for title, one in values.items():
        row = csv.loc[next(i for i in csv.index if i.startswith(title))]
        for end, stored in (("", one.value), ("/low", one.low), ("/high", one.high)):
            printed = row[column.replace(shown.name, shown.name + end)]
            assert printed == pytest.approx(shown.scale * stored, abs=1e-6)

    summary = nb.comparison_summary(nb.compare_runs(groups, PROTOCOL, name))
    assert summary.iloc[:, 0].to_dict() == wanted
    assert summary["lead over the best other"].iloc[0] == lead_text
    singles = nb.results_table({"one": runs[3]}, PROTOCOL, name)
    assert singles.loc["one", shown.title] == wanted["semi_hard_triplet"]

    first = {title: group[0].name for title, group in groups.items()}
    compare = open_page("compare", a=first[best], b=first[other], metric=name)
    (verdict,) = (m.value for m in compare.markdown if f"{shown.title} differs by" in m.value)
    printed = re.findall(r"[\d.]+%? \(seed", verdict)
    assert [text.split(" (")[0] for text in printed] == [
        shown.format_with_unit(values[title].value) for title in (best, other)
    ]
    assert shown.format_difference(lead["lead"]) in verdict
    methods = results_table(runs, PROTOCOL, ranked_by=name).set_index("run")
    assert methods.loc[runs[3].name, name] == values["semi_hard_triplet"].value
