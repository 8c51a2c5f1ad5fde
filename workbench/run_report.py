"""``retrieval report``'s page: every section with its table, curves and failures, in one file."""

import datetime
import html
from collections.abc import Collection, Sequence
from pathlib import Path

import pandas as pd

from retrieval.files import write_text
from retrieval.report import Section
from retrieval.report_text import (
    MARK,
    PUBLISHED_HEAD,
    metrics_of,
    published_rows,
    selected_on_test,
)
from retrieval.settings import SELECTED_ON_TEST
from workbench import figures
from workbench.figures.style import CONFIG
from workbench.inline_gallery import confident_failure_rows, gallery
from workbench.report import STYLE
from workbench.tables import recall_curve

FAILURES, RESULTS = 6, 8


def write_page(sections: Sequence[Section], path: Path | str) -> None:
    """Write a self-contained HTML page; nothing in it needs the network.

    Args:
        sections: Comparable runs, from :func:`retrieval.report.make_report`.
        path: The file to write, atomically.
    """
    body = ["<h1>Retrieval report</h1>",
            f'<p class="quiet">Made {datetime.date.today().isoformat()}.</p>']  # fmt: skip
    for number, section in enumerate(sections):
        body.append(section_html(section, with_script=number == 0))
    write_text(
        Path(path),
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Retrieval report</title>'
        f"<style>{STYLE}</style></head><body>{''.join(body)}</body></html>",
    )


def section_html(section: Section, *, with_script: bool) -> str:
    """Return one section: protocol, table, Recall@K curves, failures of the best run.

    Args:
        section: Comparable runs.
        with_script: Include Plotly's script; once per page is enough.

    Returns:
        HTML; names of runs and classes are escaped.
    """
    protocol = section.protocol["name"]
    firsts = {name: runs[0] for name, runs in section.groups.items()}
    no_positive = section.protocol.get("no_positive", "exclude")
    curves = {n: recall_curve(run.neighbours(protocol), no_positive) for n, run in firsts.items()}
    figure = figures.recall_curves(curves, height=420)
    best, run = next(iter(firsts.items()))
    neighbours = run.neighbours(protocol)
    rows = confident_failure_rows(run, neighbours, FAILURES)
    shown = gallery(run, neighbours, rows, RESULTS) if len(rows) else "<p>None.</p>"
    return "".join(
        [
            f"<h2>{html.escape(section.dataset)}: {html.escape(section.title)}</h2>",
            f'<p class="quiet">{html.escape(section.line)}</p>',
            table_html(section.table, selected_on_test(section)),
            published_html(section),
            figure.to_html(full_html=False, include_plotlyjs=with_script, config=CONFIG),
            f"<h3>Confident and wrong: {html.escape(best)}</h3>",
            str(shown),
        ]
    )


def published_html(section: Section) -> str:
    """Return published beside measured figures as a table; nothing if no run has any."""
    rows = published_rows(section)
    if not rows:
        return ""
    lines = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    head = "".join(f"<th>{name}</th>" for name in PUBLISHED_HEAD)
    notes = "".join(
        f'<p class="quiet">{html.escape(recipe)}: {html.escape(note)}</p>'
        for recipe, note in section.notes.items()
    )
    return f"<h3>Published beside measured</h3><table><tr>{head}</tr>{lines}</table>{notes}"


def table_html(table: pd.DataFrame, marked: Collection[str] = ()) -> str:
    """Return a section's table: percent with the 95% interval, NMI from 0 to 1.

    Args:
        table: See :class:`retrieval.report.Section`.
        marked: Rows whose network was selected on the test set; a note says so.

    Returns:
        HTML.
    """
    names = metrics_of(table)
    head = "".join(f"<th>{html.escape(name)}</th>" for name in ("run", *names, "seeds"))
    lines = []
    for row in table.to_dict("records"):
        mark = f" {MARK}" if row["name"] in marked else ""
        cells = [f"<td>{html.escape(str(row['name']))}{mark}</td>"]
        for name in names:
            scale, digits = (1, 3) if name == "nmi" else (100, 1)
            text = f"{scale * row[name]:.{digits}f}" if pd.notna(row[name]) else "-"
            if pd.notna(row.get(f"{name}/low")):
                low, high = scale * row[f"{name}/low"], scale * row[f"{name}/high"]
                text += f" [{low:.{digits}f}, {high:.{digits}f}]"
            cells.append(f"<td>{text}</td>")
        cells.append(f"<td>{html.escape(str(row['seeds']))}</td>")
        lines.append(f"<tr>{''.join(cells)}</tr>")
    note = f'<p class="quiet">{MARK} {SELECTED_ON_TEST}.</p>' if marked else ""
    return f"<table><tr>{head}</tr>{''.join(lines)}</table>{note}"
