"""The confusion map: the most confused classes as a grid of squares."""

import html
import math

import pandas as pd
import plotly.graph_objects as go

from workbench.figures.colors import ACCENT, MISS
from workbench.figures.style import as_text, short_names, styled

LONGEST_NAME = 22  # characters of a name beside the grid
CHARACTER_WIDTH = 6.3  # pixels, on average
SLANT = 40  # degrees
OUTLINE = 2.5  # pixels around the squares of the chosen pair
SCALE = ((0.0, "#f8d9c0"), (0.35, "#eda46e"), (0.65, MISS), (1.0, "#7a2e00"))
DARK_FROM = 0.5  # share of the highest count from which white is easier to read than black


def confusion_map(
    pairs: pd.DataFrame,
    names: dict[int, str],
    *,
    limit: int = 16,
    height: int = 500,
    chosen: tuple[int, int] | None = None,
) -> go.Figure:
    """Draw the most confused classes as a grid: class of the query by class of its nearest item.

    The squares are markers, because Streamlit does not report a click on a cell of a heat map. The
    class names are annotations, because only those show the whole name on hover.

    Args:
        pairs: Columns ``a``, ``b``, ``a_as_b``, ``b_as_a``, ``count``, most confused first.
        names: Label -> class name.
        limit: Largest number of classes. Defaults to 16.
        height: Height in pixels. Defaults to 500.
        chosen: Labels of the pair whose squares are outlined, in any order. By default, none.

    Returns:
        A figure; ``customdata`` of a square is ``[label of the query, label of the nearest item]``.
    """
    classes = most_confused(pairs, limit)
    cells = _cells(pairs, classes)
    whole = [names[c] for c in classes]
    short = short_names(whole, LONGEST_NAME)
    longest = max((len(html.unescape(text)) for text in short), default=0)
    left = round(longest * CHARACTER_WIDTH) + 12
    bottom = round(left * math.sin(math.radians(SLANT))) + 8
    side = max(7, min(26, (height - bottom - 60) // max(1, len(classes)) - 2))
    figure = go.Figure(_squares(cells, classes, names, side))
    outlines = [OUTLINE if chosen and {a, b} == set(chosen) else 0 for a, b, _ in cells]
    figure.update_traces(marker={"line": {"width": outlines, "color": ACCENT}})
    figure.update_layout(annotations=_labels(short, whole), dragmode=False)
    span = len(classes) - 0.4
    lines = {"tickvals": list(range(len(classes))), "showticklabels": False}
    figure.update_xaxes(
        title="class of the nearest item", title_standoff=bottom, range=[-0.6, span], **lines
    )
    figure.update_yaxes(
        title="class of the query", title_standoff=left, range=[span, -0.6], **lines
    )
    return styled(figure, height=height, legend=False)


def most_confused(pairs: pd.DataFrame, limit: int) -> list[int]:
    """Return the classes of the most confused pairs, at most ``limit``, in order of appearance."""
    classes: list[int] = []
    for a, b in zip(pairs["a"], pairs["b"], strict=True):
        new = [c for c in (int(a), int(b)) if c not in classes]
        if len(classes) + len(new) <= limit:
            classes += new
        if len(classes) == limit:
            break
    return classes


def _cells(pairs: pd.DataFrame, classes: list[int]) -> list[tuple[int, int, int]]:
    """List label of the query, label of the nearest item and number of queries, where positive."""
    part = pairs[pairs["a"].isin(classes) & pairs["b"].isin(classes)]
    cells = []
    for pair in part.itertuples():
        cells.append((pair.a, pair.b, pair.a_as_b))
        cells.append((pair.b, pair.a, pair.b_as_a))
    return [cell for cell in cells if cell[2] > 0]


def _squares(
    cells: list[tuple[int, int, int]], classes: list[int], names: dict[int, str], side: int
) -> go.Scatter:
    position = {label: i for i, label in enumerate(classes)}
    highest = max((c for *_, c in cells), default=1)
    ink = ["white" if c > DARK_FROM * highest else "#3a1a05" for *_, c in cells]
    return go.Scatter(
        x=[position[b] for _, b, _ in cells],
        y=[position[a] for a, _, _ in cells],
        mode="markers+text",
        text=[str(c) for *_, c in cells] if side > 13 else None,
        textfont={"size": 11, "color": ink},
        customdata=[[int(a), int(b)] for a, b, _ in cells],
        hovertext=[_sentence(names[a], names[b], c) for a, b, c in cells],
        hovertemplate="%{hovertext}<extra></extra>",
        marker={
            "symbol": "square",
            "size": side,
            "color": [c for *_, c in cells],
            "cmin": 0,
            "cmax": highest,
            "colorscale": SCALE,
            "colorbar": _scale_bar(highest),
        },
    )


def _scale_bar(highest: int) -> dict:
    steps = {"dtick": 1} if highest <= 5 else {"nticks": 6}
    return {
        "title": {"text": "queries", "side": "right"},
        "thickness": 10,
        "len": 0.6,
        "y": 1,
        "yanchor": "top",
        "outlinewidth": 0,
        "tickformat": "d",
    } | steps


def _labels(short: list[str], whole: list[str]) -> list[dict]:
    """Label each class beside its row and, at an angle, below its column."""
    labels = []
    for at, (text, name) in enumerate(zip(short, whole, strict=True)):
        common = {
            "text": text,
            "hovertext": as_text(name, 320),
            "showarrow": False,
            "font": {"size": 11},
        }
        row = {"x": 0, "xref": "paper", "xanchor": "right", "xshift": -4, "y": at, "yref": "y"}
        column = {"x": at, "xref": "x", "xanchor": "right", "xshift": 6, "textangle": -SLANT}
        column |= {"y": 0, "yref": "paper", "yanchor": "top", "yshift": -2}
        labels += [common | row | {"yanchor": "middle"}, common | column]
    return labels


def _sentence(query: str, nearest: str, count: int) -> str:
    queries = "1 query" if count == 1 else f"{count:,} queries"
    return f"{queries} of {as_text(query, 80)}<br>nearest item: {as_text(nearest, 80)}"
