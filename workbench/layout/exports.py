"""Taking things away: tables as CSV, figures as self-contained HTML, everything made on demand.

What is taken away says itself which runs and protocol it is about.
"""

import html
from collections.abc import Callable, Collection, Sequence

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from retrieval.evaluation.metrics import in_printed_scale
from retrieval.runs.run import Run
from workbench.analysis.naming import seed_of
from workbench.figures.style import CONFIG
from workbench.layout.context import context_facts, data_facts, runs_fact
from workbench.session.selection import Selection, selection

FORMULAS = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet runs a text that begins so
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
    """Return a table as CSV; texts that a spreadsheet would run as formulas are quoted.

    Args:
        table: Any table.

    Returns:
        UTF-8 with a byte order mark, as spreadsheets expect.
    """
    safe = table.copy()
    for column in safe.columns:
        if not pd.api.types.is_numeric_dtype(safe[column]):
            safe[column] = safe[column].astype(object).map(_harmless)
    safe.columns = [_harmless(name) for name in safe.columns]
    return safe.to_csv(index=False).encode("utf-8-sig")


def _harmless(cell: object) -> object:
    if not isinstance(cell, str) or not cell.startswith(FORMULAS):
        return cell
    try:
        float(cell)
    except ValueError:
        return "'" + cell
    return cell  # a number, if written as text


def with_protocol(table: pd.DataFrame, chosen: Selection, about: Sequence[Run]) -> pd.DataFrame:
    """Say in every row which run or pair of runs its numbers are of, and under which protocol.

    Args:
        table: Any table.
        chosen: What is being looked at.
        about: The runs that the table is about; of more than two, its rows say so themselves.

    Returns:
        The table with the columns ``data set``, ``split``, ``protocol`` and ``distance`` at its
        end, and ``run`` and ``seed`` (``run a``, ``seed a``, ``run b``, ``seed b`` of a pair),
        where it lacks them.
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
    """Return a figure as one HTML file that needs nothing from the network.

    Args:
        figure: Any figure; left as it is.
        title: Shown above it.
        note: What it is about, shown below the title.

    Returns:
        UTF-8.
    """
    copy = go.Figure(figure).update_layout(**LIGHT, font={"family": "sans-serif"}, width=None)
    drawn = copy.to_html(
        include_plotlyjs=True,
        full_html=False,
        default_height="85vh",  # of a figure without a height of its own
        config=CONFIG | {"responsive": True},
    )
    named = {"title": html.escape(title), "note": html.escape(note), "figure": drawn}
    return PAGE.format(**named).encode()


def export_menu(
    *,
    name: str,
    about: Sequence[Run],
    tables: dict[str, Callable[[], pd.DataFrame]] | None = None,
    figures: dict[str, Callable[[], go.Figure]] | None = None,
    files: dict[str, tuple[str, Callable[[], bytes]]] | None = None,
    unscored: Collection[str] = (),
) -> None:
    """Draw the page's export menu; nothing is made before it is asked for.

    Args:
        name: Start of the file names, e.g. ``grocery-cross-store``.
        about: The runs that tables and figures are about.
        tables: Title -> function that makes the table.
        figures: Title -> function that makes the figure.
        files: Title -> (file name, function that makes its bytes).
        unscored: Titles of tables and figures that are not about scored queries: of the data, or of
            training. They do not name the protocol.
    """
    chosen = selection()
    with st.popover("Export", icon=":material/download:", type="tertiary", key="export"):
        for title, make in (tables or {}).items():
            _button(
                f"{title} (CSV)",
                f"{name}-{_slug(title)}.csv",
                lambda f=make, t=title: table_csv(
                    _described(in_printed_scale(f()), chosen, about, t in unscored)
                ),
            )
        for title, make in (figures or {}).items():
            _button(
                f"{title} (HTML)",
                f"{name}-{_slug(title)}.html",
                lambda f=make, t=title: figure_html(f(), t, _note(chosen, about, t in unscored)),
            )
        for title, (file, make) in (files or {}).items():
            _button(title, file, make)
        st.caption("PNG: the camera button that appears over a figure.")


def _described(
    table: pd.DataFrame, chosen: Selection, about: Sequence[Run], unscored: bool
) -> pd.DataFrame:
    if unscored:
        return table.assign(**{"data set": chosen.dataset})
    return with_protocol(table, chosen, about)


def _note(chosen: Selection, about: Sequence[Run], unscored: bool) -> str:
    facts = data_facts(chosen) if unscored else context_facts(chosen)
    return "  ·  ".join([*facts, runs_fact(about)])


def _button(title: str, file: str, make: Callable[[], bytes]) -> None:
    st.download_button(
        title, data=make, file_name=file, on_click="ignore", type="tertiary", key=f"get {file}"
    )


def _slug(text: str) -> str:
    kept = "".join(c if c.isalnum() else "-" for c in text.lower())
    return "-".join(part for part in kept.split("-") if part)
