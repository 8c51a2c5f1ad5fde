"""Taking things away: tables as CSV, figures as self-contained HTML, everything made on demand."""

from collections.abc import Callable

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from workbench.figures.style import CONFIG
from workbench.state import Selection, selection

FORMULAS = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet runs a text that begins so
LIGHT = {"paper_bgcolor": "white", "plot_bgcolor": "white", "template": "plotly_white"}


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


def with_protocol(table: pd.DataFrame, chosen: Selection) -> pd.DataFrame:
    """Say in every row under which protocol its numbers are.

    Args:
        table: Any table.
        chosen: What is being looked at.

    Returns:
        The table with the columns ``data set``, ``split``, ``protocol`` and ``distance`` at its
        end, where it lacks them.
    """
    protocol = chosen.a.result(chosen.protocol)["protocol"]
    facts = {
        "data set": chosen.dataset,
        "split": protocol.get("split", "test"),
        "protocol": chosen.protocol_title,
        "distance": protocol.get("distance", "cosine"),
    }
    known = {str(name).lower() for name in table.columns}
    return table.assign(**{name: value for name, value in facts.items() if name not in known})


def figure_html(figure: go.Figure, title: str = "") -> bytes:
    """Return a figure as one HTML file that needs nothing from the network.

    Args:
        figure: Any figure; left as it is.
        title: Shown above it.

    Returns:
        UTF-8.
    """
    copy = go.Figure(figure).update_layout(**LIGHT, font={"family": "sans-serif"}, width=None)
    if title:
        copy.update_layout(title={"text": title}, margin={"t": 70})
    html = copy.to_html(include_plotlyjs=True, full_html=True, config=CONFIG | {"responsive": True})
    return html.encode()


def export_menu(
    *,
    name: str,
    tables: dict[str, Callable[[], pd.DataFrame]] | None = None,
    figures: dict[str, Callable[[], go.Figure]] | None = None,
    files: dict[str, tuple[str, Callable[[], bytes]]] | None = None,
) -> None:
    """Draw the page's export menu; nothing is made before it is asked for.

    Args:
        name: Start of the file names, e.g. ``grocery-cross-store``.
        tables: Title -> function that makes the table.
        figures: Title -> function that makes the figure.
        files: Title -> (file name, function that makes its bytes).
    """
    chosen = selection()
    with st.popover("Export", icon=":material/download:", type="tertiary", key="export"):
        for title, make in (tables or {}).items():
            _button(
                f"{title} (CSV)",
                f"{name}-{_slug(title)}.csv",
                lambda f=make: table_csv(with_protocol(f(), chosen)),
            )
        for title, make in (figures or {}).items():
            _button(
                f"{title} (HTML)",
                f"{name}-{_slug(title)}.html",
                lambda f=make, t=title: figure_html(f(), t),
            )
        for title, (file, make) in (files or {}).items():
            _button(title, file, make)
        st.caption("PNG: the camera button that appears over a figure.")


def _button(title: str, file: str, make: Callable[[], bytes]) -> None:
    st.download_button(
        title, data=make, file_name=file, on_click="ignore", type="tertiary", key=f"get {file}"
    )


def _slug(text: str) -> str:
    kept = "".join(c if c.isalnum() else "-" for c in text.lower())
    return "-".join(part for part in kept.split("-") if part)
