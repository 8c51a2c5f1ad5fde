"""Exports: tables as CSV and figures as self-contained HTML, made when they are downloaded.

Every exported file names the runs and the protocol that it is about.
"""

import html
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from retrieval.evaluation.metrics import in_printed_scale
from retrieval.report.spreadsheet import spreadsheet_csv
from retrieval.runs.run import Run
from workbench.analysis.naming import seed_of
from workbench.figures.style import CONFIG
from workbench.layout.context import context_facts, data_facts, runs_fact
from workbench.session.selection import Selection, selection

LIGHT = {"paper_bgcolor": "white", "plot_bgcolor": "white", "template": "plotly_white"}
PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font-family: sans-serif; color: #1b2530; margin: 20px; }}
h1 {{ font-size: 20px; margin: 0 0 4px; }}
p {{ font-size: 13px; color: #5a6672; margin: 0 0 16px; }}
</style></head>
<body><h1>{title}</h1><p>{note}</p>
{figure}
</body></html>
"""


def table_csv(table: pd.DataFrame) -> bytes:
    """Write a table as CSV, with a quote before texts that a spreadsheet would run as formulas.

    Args:
        table: The table to export.

    Returns:
        UTF-8 with a byte order mark, as spreadsheets expect.
    """
    return spreadsheet_csv(table).encode("utf-8-sig")


def with_protocol(table: pd.DataFrame, chosen: Selection, about: Sequence[Run]) -> pd.DataFrame:
    """Add columns that name the data set, the protocol and the run or pair of runs of every row.

    Args:
        table: The table to export.
        chosen: The choices made in the sidebar.
        about: The runs that the table is about. If there are more than two, the rows have to name
            their runs themselves.

    Returns:
        The table with the columns ``data set``, ``split``, ``protocol`` and ``distance`` at its
        end and, for one run, ``run`` and ``seed`` (for a pair: ``run a``, ``seed a``, ``run b``,
        ``seed b``). Columns that the table has already are left as they are.
    """
    result = chosen.a.result(chosen.protocol)
    facts: dict[str, object] = {
        "data set": chosen.dataset,
        "split": result.split,
        "protocol": chosen.protocol_title,
        "distance": result.protocol.distance,
    }
    for ending, run in zip({1: [""], 2: [" a", " b"]}.get(len(about), []), about, strict=False):
        facts |= {f"run{ending}": run.name, f"seed{ending}": seed_of(run)}
    known = {str(name).lower() for name in table.columns}
    return table.assign(**{name: value for name, value in facts.items() if name not in known})


def figure_html(figure: go.Figure, title: str = "", note: str = "") -> bytes:
    """Write a figure as one HTML file that needs no network.

    Args:
        figure: Any figure; it is not changed.
        title: Title above the figure. Defaults to none.
        note: A line below the title, naming runs and protocol. Defaults to none.

    Returns:
        UTF-8.
    """
    copy = go.Figure(figure).update_layout(**LIGHT, font={"family": "sans-serif"}, width=None)
    drawn = copy.to_html(
        include_plotlyjs=True,
        full_html=False,
        default_height="85vh",  # for a figure without a height of its own
        config=CONFIG | {"responsive": True},
    )
    named = {"title": html.escape(title), "note": html.escape(note), "figure": drawn}
    return PAGE.format(**named).encode()


@dataclass(frozen=True)
class Export:
    """One entry of an export menu.

    Attributes:
        title: Text of the download button.
        file_name: Name of the downloaded file.
        make: Function that makes the content of the file, called when the button is clicked.
    """

    title: str
    file_name: str
    make: Callable[[], bytes]


def export_menu(
    *,
    name: str,
    about: Sequence[Run],
    tables: Mapping[str, Callable[[], pd.DataFrame]] | None = None,
    figures: Mapping[str, Callable[[], go.Figure]] | None = None,
    files: Mapping[str, tuple[str, Callable[[], bytes]]] | None = None,
    unscored: Collection[str] = (),
) -> None:
    """Draw the export menu of a page; nothing is made before its button is clicked.

    Args:
        name: Start of the file names, e.g. ``grocery-cross-store``.
        about: The runs that the tables and figures are about.
        tables: Title -> function that makes the table.
        figures: Title -> function that makes the figure.
        files: Title -> (file name, function that makes the content).
        unscored: Titles of tables and figures that do not depend on the protocol, because they are
            about the data or about training. Their exports do not name the protocol.
    """
    chosen = selection()
    exports = [
        *(
            Export(
                f"{title} (CSV)",
                f"{name}-{_slug(title)}.csv",
                partial(_table_file, make, chosen, about, title in unscored),
            )
            for title, make in (tables or {}).items()
        ),
        *(
            Export(
                f"{title} (HTML)",
                f"{name}-{_slug(title)}.html",
                partial(_figure_file, make, title, chosen, about, title in unscored),
            )
            for title, make in (figures or {}).items()
        ),
        *(Export(title, file_name, make) for title, (file_name, make) in (files or {}).items()),
    ]
    with st.popover("Export", icon=":material/download:", type="tertiary", key="export"):
        for export in exports:
            draw_button(export)
        st.caption("PNG: use the camera button that appears over a figure.")


def _table_file(
    make: Callable[[], pd.DataFrame], chosen: Selection, about: Sequence[Run], unscored: bool
) -> bytes:
    table = in_printed_scale(make())
    if unscored:
        return table_csv(table.assign(**{"data set": chosen.dataset}))
    return table_csv(with_protocol(table, chosen, about))


def _figure_file(
    make: Callable[[], go.Figure],
    title: str,
    chosen: Selection,
    about: Sequence[Run],
    unscored: bool,
) -> bytes:
    facts = data_facts(chosen) if unscored else context_facts(chosen)
    return figure_html(make(), title, "  ·  ".join([*facts, runs_fact(about)]))


def draw_button(export: Export) -> None:
    """Draw the download button of one export."""
    st.download_button(
        export.title,
        data=export.make,
        file_name=export.file_name,
        on_click="ignore",
        type="tertiary",
        key=f"get {export.file_name}",
    )


def _slug(text: str) -> str:
    """Turn a title into a part of a file name: lowercase words joined by hyphens."""
    spaced = "".join(c if c.isalnum() else "-" for c in text.lower())
    return "-".join(part for part in spaced.split("-") if part)
