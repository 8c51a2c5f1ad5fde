"""The look that all pages share: style sheet, page head and line of context."""

from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from retrieval.datasets.official import PLACEHOLDER_WARNING
from retrieval.report.sections import named_caveats
from workbench.layout.context import context_facts, runs_fact
from workbench.session.selection import Selection

LOGO = str(Path(__file__).with_name("logo.svg"))
CSS = """
<style>
:root { font-variant-numeric: tabular-nums; }
/* The title begins below the header, which lies over the page and is 3.75rem high. */
.stMainBlockContainer { padding-top: 4.1rem; padding-bottom: 4rem; max-width: 1560px; }
[data-testid="stSidebarUserContent"] { padding-top: .5rem; }
[data-testid="stMetric"] { padding: .2rem 0; }
[data-testid="stMetricLabel"] *, [data-testid="stMetricValue"], [data-testid="stMetricValue"] * {
  max-width: 100%; min-width: 0;
  white-space: normal !important; overflow-wrap: anywhere; overflow: visible;
  text-overflow: clip; }
[data-testid="stMetricValue"] { font-size: clamp(1.25rem, 2.1vw, 2.1rem); line-height: 1.25; }
.st-key-cards [data-testid="stColumn"] { min-width: 210px; }
/* Columns wrap in a narrow window. */
:is(.st-key-recall, .st-key-training) [data-testid="stColumn"] { min-width: 430px; }
:is(.st-key-beside, .st-key-beside_tables) [data-testid="stColumn"] { min-width: 380px; }
/* In a narrow window these keep their line beside a long text, which gets narrower. */
[data-testid="stHorizontalBlock"]:has(> [data-testid="stColumn"] .st-key-export),
[data-testid="stHorizontalBlock"]:has(> [data-testid="stColumn"] .st-key-marking) {
  flex-wrap: nowrap; }
[data-testid="stColumn"]:has(.st-key-export) { min-width: 6.8rem; }
[data-testid="stColumn"]:has(.st-key-marking) { min-width: 9.6rem; }
.st-key-export button, .st-key-export button *, .st-key-marking * { white-space: nowrap; }
[data-testid="stMetricLabel"] { opacity: .75; }
h1 { letter-spacing: -0.015em; padding: 0 !important; }
h2, h3 { letter-spacing: -0.01em; }
[data-testid="stCaptionContainer"] { font-size: .87rem; }
.st-key-verdict p { font-size: 1.08rem; margin-bottom: .35rem; }
/* What the grid writes itself may run as a formula; the export menu has every table. */
[data-testid="stElementToolbarButton"]:has([aria-label="Download as CSV"]) { display: none; }
.stElementContainer:has([data-testid="stMetric"]) { margin-bottom: -1.1rem; }
.st-key-lede p { font-size: 1.12rem; line-height: 1.5; max-width: 62rem; }
</style>
"""
ESCAPED = str.maketrans({c: "\\" + c for c in r"\`*_{}[]()<>#+-.!|~$:"})


def plain(text: object) -> str:
    """Escape text for Markdown, so that class names and paths are shown literally."""
    return " ".join(str(text).split()).translate(ESCAPED)


def page_head(title: str, selection: Selection, *, run: bool = True) -> DeltaGenerator:
    """Draw the title of a page and, below it, a line that says what its numbers are about.

    Args:
        title: Title of the page.
        selection: The choices made in the sidebar.
        run: Name run A in the line. Defaults to True.

    Returns:
        A container to the right of the title, for the export menu.
    """
    left, right = st.columns([8, 1], vertical_alignment="center")
    left.title(title, anchor=False)
    with left.container(key="context"):
        st.caption(context_line(selection, run=run))
        for line in caveat_lines(selection, run=run):
            st.markdown(f":orange[⚠ {plain(line)}]")
    return right.container(horizontal_alignment="right")


def file_stem(selection: Selection, *, run: bool = True) -> str:
    """Return the start of the names of exported files.

    Args:
        selection: The choices made in the sidebar.
        run: Name run A, besides data set and protocol. Defaults to True.
    """
    parts = [selection.dataset, selection.protocol_title, *([selection.a.name] if run else [])]
    return "-".join("".join(c if c.isalnum() or c in "-_" else "-" for c in p) for p in parts)


def context_line(selection: Selection, *, run: bool = True) -> str:
    """Write the line of context in Markdown: data set, split, protocol, sizes, distance and run.

    Args:
        selection: The choices made in the sidebar.
        run: Name run A. Defaults to True.
    """
    marked = {selection.dataset: "**{}**", PLACEHOLDER_WARNING: ":orange[**{}**]"}
    parts = [marked.get(fact, "{}").format(plain(fact)) for fact in context_facts(selection)]
    if run:
        name = plain(selection.a.name)
        parts.append(plain(runs_fact([selection.a])).replace(name, f"**{name}**", 1))
    return "  ·  ".join(parts)


def caveat_lines(selection: Selection, *, run: bool = True) -> list[str]:
    """Say what makes the figures of a page meaningless, in the words of the reports.

    Args:
        selection: The choices made in the sidebar.
        run: Only speak of run A, not of all runs that are comparable with it. Defaults to True.
    """
    runs = [selection.a] if run else selection.comparable
    lines = named_caveats({one.name: [one] for one in runs}, selection.protocol)
    # A line may begin with the names of runs, which stay as they are written.
    names = tuple(f"{one.name}{end}" for one in runs for end in (": ", ", "))
    return [line if line.startswith(names) else line[:1].upper() + line[1:] for line in lines]


def ink() -> str:
    """Return the text color of the theme that the browser uses."""
    return "#e4e9ee" if st.context.theme.type == "dark" else "#1b2530"
