"""One report call: every output prints the same number for the same metric."""

import io
import re

import pandas as pd

from retrieval.cli.tables import runs_table
from retrieval.evaluation.metrics import metric, reported
from retrieval.report.writing import write_report
from tests.report.helpers import make_run
from workbench.analysis.tables import loss_table, results_table
from workbench.notebook import results_table as notebook_table
from workbench.pages.overview.loss_tables import losses_table
from workbench.report import write_page

TAGS = re.compile("<[^>]*>")


def first_table(head: list[str], row: list[str]) -> dict[str, str]:
    """Return heading -> text of a row, without spaces and interval."""
    cells = zip(head, row, strict=True)
    return {title.strip(): cell.strip().split(" [")[0] for title, cell in cells}


def test_every_output_prints_the_same_number(tmp_path, capsys):
    run = make_run(tmp_path, "bird", noise=2.0)
    names = reported()
    result = run.result()
    wanted = {metric(n).title: metric(n).format(result.metric(n).value) for n in names}
    assert len(set(wanted.values())) > 4  # no two metrics that could be mistaken for one another
    assert wanted["NMI"].startswith("0.")

    sections = write_report([run], tmp_path / "out")
    write_page(sections, tmp_path / "out" / "report.html")
    texts = {s: (tmp_path / f"out/report.{s}").read_text() for s in ("md", "tex", "csv", "html")}
    printed = {}

    lines = [line for line in texts["md"].splitlines() if line.startswith("|")]
    printed["Markdown"] = first_table(lines[0].split("|"), lines[2].split("|"))

    lines = [line[:-3] for line in texts["tex"].splitlines() if line.endswith(r"\\")]
    printed["LaTeX"] = first_table(lines[0].split(" & "), lines[1].split(" & "))

    head, row = re.findall("<tr>.*?</tr>", texts["html"])[:2]
    split = (re.findall("<t[hd]>(.*?)</t[hd]>", part) for part in (head, row))
    printed["HTML"] = first_table(*([TAGS.sub("", cell) for cell in part] for part in split))

    row = pd.read_csv(io.StringIO(texts["csv"])).iloc[0]
    percent = {n: n + " (%)" if metric(n).is_percent else n for n in names}
    printed["CSV"] = {metric(n).title: f"{row[percent[n]]:.{metric(n).digits}f}" for n in names}

    printed["terminal"] = runs_table([run.path]).iloc[0].to_dict()
    printed["notebook"] = {
        t: c.split(" [")[0] for t, c in notebook_table({"bird": run}).iloc[0].items()
    }

    table = loss_table(results_table([run], "leave_one_out"), [run], "leave_one_out")
    app = losses_table(table, {table["group"][0]: "#123456"})
    printed["app"] = {
        column["title"]: cell["text"]
        for column, cell in zip(app["columns"], app["rows"][0], strict=True)
    }

    for output in ("Markdown", "LaTeX", "HTML", "CSV", "app"):
        assert {title: printed[output][title] for title in wanted} == wanted, output
    for output in ("terminal", "notebook"):
        for title in ("R@1", "R@4", "MAP@R", "NMI"):
            assert printed[output][title] == wanted[title], output
    for text in (*texts.values(), capsys.readouterr().out):
        assert "percent; NMI from 0 to 1" in text or "recall@1 (%)" in text
