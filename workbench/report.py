"""The report as one HTML page: for every section its tables, tests, figures and failures.

``retrieval report`` writes the page, and the Overview of the app offers it for download.
"""

import datetime
import html
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import pandas as pd

from retrieval.evaluation.metrics import metric
from retrieval.files import write_text
from retrieval.report.sections import Section
from retrieval.report.text import (
    COLUMNS,
    MARK,
    PUBLISHED_HEAD,
    PUBLISHED_TITLE,
    TITLE,
    best_of,
    cell,
    conclusion,
    devices,
    metrics_of,
    note_on,
    published_rows,
    selected_on_test,
    tests_of,
    units,
)
from retrieval.runs.run import Run
from retrieval.settings.schema import SELECTED_ON_TEST
from workbench import figures
from workbench.analysis.tables import recall_curve
from workbench.components.inline_gallery import confident_failure_rows, gallery
from workbench.figures.style import CONFIG

FAILURES, RESULTS = 8, 8
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1b2530; max-width: 1080px; margin: 2.5rem auto;
  padding: 0 1rem; font-variant-numeric: tabular-nums; }
h1 { letter-spacing: -.015em; margin-bottom: .2rem; } h2 { margin-top: 2.2rem; }
.quiet { color: #5d6975; font-size: .9rem; }
table { border-collapse: collapse; } th, td { padding: .3rem .8rem; text-align: right;
  border-bottom: 1px solid #dde3e9; white-space: nowrap; }
.wide { overflow-x: auto; } @media (max-width: 900px) { th, td { padding: .3rem .45rem; } }
th:first-child, td:first-child { text-align: left; }
"""


def write_page(sections: Sequence[Section], path: Path | str) -> None:
    """Write the report to a file, atomically.

    Args:
        sections: The sections, from :func:`retrieval.report.sections.make_report`.
        path: The file to write.
    """
    write_text(Path(path), page_html(sections))


def page_html(sections: Sequence[Section]) -> str:
    """Return the report as a self-contained page that needs no network.

    Args:
        sections: The sections, from :func:`retrieval.report.sections.make_report`.

    Returns:
        HTML.
    """
    made = datetime.date.today().isoformat()
    body = [f'<h1>{TITLE}</h1><p class="quiet">Made {made}. {note_on(sections)}</p>']
    drawn = [not section.protocol.has_no_positives for section in sections]
    for number, section in enumerate(sections):
        first = any(drawn) and number == drawn.index(True)
        body.append(section_html(section, with_script=first))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{TITLE}</title><style>{STYLE}</style></head><body>{''.join(body)}</body></html>"
    )


def section_html(section: Section, *, with_script: bool) -> str:
    """Return one section: protocol, tables, Recall@K curves, and failures of the best run.

    Args:
        section: The section, whose runs are comparable.
        with_script: Include Plotly's script, which one section of a page has to.

    Returns:
        HTML; names of runs and classes are escaped.
    """
    protocol = section.protocol.name
    firsts = {name: runs[0] for name, runs in section.groups.items()}
    best, run = next(iter(firsts.items()))
    neighbors = run.neighbors(protocol)
    rows = confident_failure_rows(run, neighbors, FAILURES)
    shown = gallery(run, neighbors, rows, RESULTS) if len(rows) else "<p>None.</p>"
    return "".join(
        [
            f"<h2>{html.escape(section.dataset)}: {html.escape(section.title)}</h2>",
            f'<p class="quiet">{html.escape(section.line)}. {html.escape(units(section))} '
            f"{html.escape(devices(section))}</p>",
            table_html(section.table, selected_on_test(section), best_of(section)),
            published_html(section),
            tests_html(section),
            _recall(section, firsts, with_script=with_script),
            _bytes(section),
            f"<h3>Confident and wrong: {html.escape(best)}</h3>",
            str(shown),
        ]
    )


def _recall(section: Section, runs: Mapping[str, Run], *, with_script: bool) -> str:
    """Draw the Recall@K of each row's run; nothing if no query has a positive."""
    protocol = section.protocol
    if protocol.has_no_positives:
        return ""
    curves = {
        name: recall_curve(
            run.neighbors(protocol.name),
            protocol.no_positive,
            run.result(protocol.name).protocol.deepest,
        )
        for name, run in runs.items()
    }
    drawn = [figures.recall_curves(curves, height=420)]
    ranked_by = section.comparison.metric
    if ranked_by in section.table:
        table = section.table.rename(columns={"name": "group"})
        drawn.append(figures.loss_intervals(table, ranked_by))
    script = [with_script, False]
    return "<h3>Recall@K</h3>" + "".join(
        figure.to_html(full_html=False, include_plotlyjs=include, config=CONFIG)
        for figure, include in zip(drawn, script, strict=False)
    )


def _bytes(section: Section) -> str:
    """Draw the smaller forms of every row that has them; nothing if none has."""
    if not section.forms:
        return ""
    figure = figures.bytes_chart(section.forms)
    drawn = figure.to_html(full_html=False, include_plotlyjs=False, config=CONFIG)
    return f"<h3>Bytes per vector</h3>{drawn}"


def published_html(section: Section) -> str:
    """Return the table of measured and published results, or nothing if none was published."""
    rows = published_rows(section)
    if not rows:
        return ""
    notes = "".join(
        f'<p class="quiet">{html.escape(recipe)}: {html.escape(note)}</p>'
        for recipe, note in section.notes.items()
    )
    return f"<h3>{PUBLISHED_TITLE}</h3>{_table(PUBLISHED_HEAD, rows)}{notes}"


def tests_html(section: Section) -> str:
    """Return what the tests of a section say, and their tables; nothing for a single row."""
    said = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in conclusion(section))
    return said + "".join(
        f"<h3>{html.escape(title)}</h3>{_table(head, rows)}"
        for title, head, rows in tests_of(section)
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [("th", head), *(("td", row) for row in rows)]
    cells = ("".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in line) for tag, line in lines)
    rows_html = "".join(f"<tr>{line}</tr>" for line in cells)
    return f'<div class="wide"><table>{rows_html}</table></div>'


def table_html(
    table: pd.DataFrame, marked: Collection[str] = (), bold: Collection[str] = ()
) -> str:
    """Return the table of results of a section, every metric with its 95% interval.

    Args:
        table: See :class:`retrieval.report.sections.Section`.
        marked: Rows whose network was selected on the test set, which a note points out. Defaults
            to none.
        bold: Rows whose name is bold. Defaults to none.

    Returns:
        HTML.
    """
    names = metrics_of(table)
    titles = (*COLUMNS, *(metric(name).title for name in names))
    head = "".join(f"<th>{html.escape(title)}</th>" for title in titles)
    lines = []
    for row in table.to_dict("records"):
        mark = f" {MARK}" if row["name"] in marked else ""
        name = html.escape(str(row["name"]))
        name = f"<strong>{name}</strong>" if row["name"] in bold else name
        shown = (f"{name}{mark}", html.escape(str(row["seeds"])), str(row.get("dimension", "")))
        cells = [f"<td>{text}</td>" for text in (*shown, *(cell(row, name) for name in names))]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    note = f'<p class="quiet">{MARK} {SELECTED_ON_TEST}.</p>' if marked else ""
    return f'<div class="wide"><table><tr>{head}</tr>{"".join(lines)}</table></div>{note}'
