"""A report: one self-contained HTML file with the figures, tables and failures of a data set."""

import datetime
import html

import pandas as pd

from workbench import figures
from workbench.figures.style import CONFIG
from workbench.inline_gallery import confident_failure_rows, gallery
from workbench.loading import load_neighbours
from workbench.state import Selection
from workbench.tables import METRICS, TITLES, loss_table, percent

FAILURES, RESULTS = 8, 8
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1b2530; max-width: 1080px; margin: 2.5rem auto;
  padding: 0 1rem; font-variant-numeric: tabular-nums; }
h1 { letter-spacing: -.015em; margin-bottom: .2rem; } h2 { margin-top: 2.2rem; }
.quiet { color: #5d6975; font-size: .9rem; }
table { border-collapse: collapse; } th, td { padding: .3rem .8rem; text-align: right;
  border-bottom: 1px solid #dde3e9; } th:first-child, td:first-child { text-align: left; }
"""


def report_html(chosen: Selection, results: pd.DataFrame, curves: dict[str, pd.DataFrame]) -> bytes:
    """Write the report of what is being looked at.

    Args:
        chosen: Data set, protocol and run A, whose failures are shown.
        results: One row per run, see :func:`workbench.tables.results_table`.
        curves: Recall@K per loss, best first.

    Returns:
        UTF-8; nothing in it needs the network.
    """
    table = loss_table(results)
    entry = chosen.a.result(chosen.protocol)
    facts = [
        f"{key.replace('_', ' ')}: {value}" for key, value in entry["protocol"].items() if value
    ]
    first = figures.recall_curves(curves, height=420)
    second = figures.loss_intervals(table)
    body = [
        f"<h1>{_text(chosen.dataset)}: retrieval report</h1>",
        f'<p class="quiet">{_text(chosen.protocol_title)}, {entry["n_queries"]:,} queries, '
        f"{entry['n_gallery']:,} gallery items, {entry['n_classes']:,} classes. "
        f"Made {datetime.date.today().isoformat()}.</p>",
        "<h2>Losses</h2>",
        _table_html(table),
        '<p class="quiet">Percent with the 95% interval; NMI 0 to 1. Seeds are averaged.</p>',
        "<h2>Recall@K</h2>",
        first.to_html(full_html=False, include_plotlyjs=True, config=CONFIG),
        "<h2>Recall@1</h2>",
        second.to_html(full_html=False, include_plotlyjs=False, config=CONFIG),
        f"<h2>Confident and wrong: {_text(chosen.a.name)}</h2>",
        _failures_html(chosen),
        "<h2>Protocol</h2>",
        f'<p class="quiet">{_text("; ".join(facts))}</p>',
    ]
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>'
        f"{_text(chosen.dataset)}</title><style>{STYLE}</style></head><body>"
        + "\n".join(body)
        + "</body></html>"
    )
    return page.encode()


def _text(value: object) -> str:
    return html.escape(str(value))


def _table_html(table: pd.DataFrame) -> str:
    head = "".join(f"<th>{TITLES[name]}</th>" for name in METRICS)
    rows = []
    for row in table.to_dict("records"):
        cells = []
        for name in METRICS:
            scale = (lambda v: f"{v:.3f}") if name == "nmi" else percent
            span = f" [{scale(row[f'{name}/low'])}, {scale(row[f'{name}/high'])}]"
            known = pd.notna(row[f"{name}/low"])
            cells.append(f"<td>{scale(row[name])}{span if known else ''}</td>")
        seeds = ", ".join(map(str, row["seeds"]))
        rows.append(f"<tr><td>{_text(row['group'])}</td>{''.join(cells)}<td>{seeds}</td></tr>")
    return f"<table><tr><th>Loss</th>{head}<th>Seeds</th></tr>{''.join(rows)}</table>"


def _failures_html(chosen: Selection) -> str:
    neighbours = load_neighbours(chosen.a, chosen.protocol)
    rows = confident_failure_rows(chosen.a, neighbours, FAILURES)
    if not len(rows):
        return "<p>Every query is right at rank 1.</p>"
    return gallery(chosen.a, neighbours, rows, RESULTS)
