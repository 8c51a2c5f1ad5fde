"""``retrieval report`` as one page: tables, figures, failures; the file needs no network."""

import datetime
import html
from collections.abc import Sequence

import numpy as np
import pandas as pd

from retrieval.report import Section
from retrieval.report_text import NOTE, TITLES, cell, metrics_of
from workbench import figures
from workbench.figures.style import CONFIG
from workbench.inline_gallery import confident_failure_rows, gallery
from workbench.report import STYLE
from workbench.significance import both_ways
from workbench.tables import recall_curve

FAILURES, RESULTS = 6, 8


def report_page(sections: Sequence[Section]) -> bytes:
    """Write the page.

    Args:
        sections: See :func:`retrieval.report.make_report`.

    Returns:
        UTF-8 HTML with figures, images and scripts inside.
    """
    body = [
        "<h1>Comparison of runs</h1>",
        f'<p class="quiet">{_text(NOTE)} Made {datetime.date.today().isoformat()}.</p>',
    ]
    scripts = True  # plotly's code goes in once, with the first figure
    for section in sections:
        body.append(f"<h2>{_text(section.dataset)}: {_text(section.title)}</h2>")
        body.append(f'<p class="quiet">{_text(section.line)}.</p>')
        body.append(_table(section))
        for figure in _figures(section):
            body.append(figure.to_html(full_html=False, include_plotlyjs=scripts, config=CONFIG))
            scripts = False
        body += _failures(section)
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>Comparison of runs</title><style>{STYLE}</style></head><body>"
        + "\n".join(body)
        + "</body></html>"
    )
    return page.encode()


def _text(value: object) -> str:
    return html.escape(str(value))


def _table(section: Section) -> str:
    names = metrics_of(section.table)
    summary = section.comparison.summary
    best = set(summary.loc[summary["best_group"], "name"])
    head = "".join(f"<th>{_text(TITLES.get(name, name))}</th>" for name in names)
    rows = []
    for row in section.table.to_dict("records"):
        name = _text(row["name"])
        name = f"<b>{name}</b>" if row["name"] in best else name
        values = "".join(f"<td>{_text(cell(row, metric))}</td>" for metric in names)
        rows.append(f"<tr><td>{name}</td><td>{row['seeds']}</td>{values}</tr>")
    return f"<table><tr><th>Run</th><th>Seeds</th>{head}</tr>{''.join(rows)}</table>"


def _figures(section: Section) -> list:
    """Recall curves, intervals of Recall@1, and every pair's difference."""
    protocol = section.protocol
    curves = {}
    for name, runs in section.groups.items():
        parts = [
            recall_curve(run.neighbours(protocol["name"]), protocol.get("no_positive", "exclude"))
            for run in runs
        ]
        mean = np.mean([part["recall"] for part in parts], axis=0)
        curves[name] = pd.DataFrame({"k": parts[0]["k"], "recall": mean})
    made = [figures.recall_curves(curves, height=420)]
    table = section.comparison.summary.rename(
        columns={
            "name": "group", "mean": "recall@1", "low": "recall@1/low", "high": "recall@1/high"
        }
    )  # fmt: skip
    made.append(figures.loss_intervals(table))
    if len(section.comparison.pairs):
        pairs = both_ways(section.comparison.pairs)
        made.append(figures.difference_matrix(pairs, list(section.groups)))
    return made


def _failures(section: Section) -> list[str]:
    name, runs = next(iter(section.groups.items()))
    neighbours = runs[0].neighbours(section.protocol["name"])
    rows = confident_failure_rows(runs[0], neighbours, FAILURES)
    if not len(rows):
        return []
    title = f"<h3>Confident and wrong: {_text(name)}</h3>"
    return [title, gallery(runs[0], neighbours, rows, RESULTS)]
