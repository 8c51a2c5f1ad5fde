"""Typography and the few pieces of page furniture that all pages share."""

from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from retrieval.runs.run import Run
from workbench.layout.context import STAND_IN, context_facts, runs_fact
from workbench.session.selection import Selection

LOGO = str(Path(__file__).with_name("logo.svg"))
CSS = """
<style>
:root { font-variant-numeric: tabular-nums; }
.stMainBlockContainer { padding-top: 2.6rem; padding-bottom: 4rem; max-width: 1560px; }
[data-testid="stSidebarUserContent"] { padding-top: .5rem; }
[data-testid="stMetric"] { padding: .2rem 0; }
[data-testid="stMetricLabel"] *, [data-testid="stMetricValue"] * {
  white-space: normal; overflow-wrap: anywhere; overflow: visible; text-overflow: clip; }
[data-testid="stMetricValue"] { font-size: clamp(1.25rem, 2.1vw, 2.1rem); line-height: 1.25; }
.st-key-cards [data-testid="stColumn"] { min-width: 210px; }
/* One below the other where it is narrow. */
:is(.st-key-recall, .st-key-training) [data-testid="stColumn"] { min-width: 430px; }
.st-key-beside [data-testid="stColumn"] { min-width: 380px; }
/* Beside a long text in a narrow window, these keep their line and the text gets narrower. */
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
.stElementContainer:has([data-testid="stMetric"]) { margin-bottom: -1.1rem; }
.st-key-lede p { font-size: 1.12rem; line-height: 1.5; max-width: 62rem; }
</style>
"""
ESCAPED = str.maketrans({c: "\\" + c for c in r"\`*_{}[]()<>#+-.!|~$:"})


def plain(text: object) -> str:
    """Escape text for Markdown, so that class names and paths show as they are."""
    return " ".join(str(text).split()).translate(ESCAPED)


def page_head(title: str, selection: Selection, *, run: bool = True) -> DeltaGenerator:
    """Draw a page's title and, below it, what its numbers are about.

    Args:
        title: The page's title.
        selection: What is being looked at.
        run: Name run A in the line.

    Returns:
        A place at the right of the title, for the export menu.
    """
    left, right = st.columns([8, 1], vertical_alignment="center")
    left.title(title, anchor=False)
    with left.container(key="context"):
        st.caption(context_line(selection, run=run))
    return right.container(horizontal_alignment="right")


def file_stem(selection: Selection, *, run: bool = True) -> str:
    """Return the start of the names of exported files: data set, protocol and, unless off, run."""
    parts = [selection.dataset, selection.protocol_title, *([selection.a.name] if run else [])]
    return "-".join("".join(c if c.isalnum() or c in "-_" else "-" for c in p) for p in parts)


def context_line(selection: Selection, *, run: bool = True) -> str:
    """Say data set, split, protocol, sizes, distance and, unless off, run A in a line of Markdown.

    Args:
        selection: What is being looked at.
        run: Name run A.
    """
    marked = {selection.dataset: "**{}**", STAND_IN: ":orange[**{}**]"}
    parts = [marked.get(fact, "{}").format(plain(fact)) for fact in context_facts(selection)]
    if run:
        name = plain(selection.a.name)
        parts.append(plain(runs_fact([selection.a])).replace(name, f"**{name}**", 1))
    return "  ·  ".join(parts)


def ink() -> str:
    """Return the color of text in the theme that the browser shows."""
    return "#e4e9ee" if st.context.theme.type == "dark" else "#1b2530"


def class_names(run: Run) -> dict[int, str]:
    """Return the name of every class of a run: label -> name."""
    unique = run.items.drop_duplicates("label")
    return dict(zip(unique["label"].astype(int), unique["label_name"].astype(str), strict=True))
