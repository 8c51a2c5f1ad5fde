"""Galleries as self-contained HTML, for notebooks and reports."""

import base64
import html
from collections.abc import Iterable

import numpy as np

from retrieval.runs import Neighbours, Run
from workbench.failures import failures, query_table

HIT, MISS = "#0072B2", "#D55E00"


class Gallery(str):
    """HTML text that a notebook shows as a page rather than as a string."""

    def _repr_html_(self) -> str:
        return str(self)


def failure_rows(run: Run, neighbours: Neighbours, count: int = 6, seed: int = 0) -> np.ndarray:
    """Draw item rows of queries whose nearest item is of another class.

    Args:
        run: The run.
        neighbours: Its neighbours under one protocol.
        count: At most this many.
        seed: Seeds the draw.

    Returns:
        int, (at most count,).
    """
    wrong = failures(query_table(neighbours, run.items["label"].to_numpy()))["row"].to_numpy()
    order = np.random.default_rng(seed).permutation(len(wrong))[:count]
    return np.sort(wrong[order])


def gallery(run: Run, neighbours: Neighbours, rows: Iterable[int], k: int = 6) -> Gallery:
    """Show queries, each with its k nearest items, hits and misses marked by sign and colour.

    Args:
        run: The run; images come from its thumbnails.
        neighbours: Its neighbours under one protocol.
        rows: Item rows of the queries to show.
        k: Neighbours per query.

    Returns:
        Self-contained HTML.
    """
    position = {int(row): i for i, row in enumerate(neighbours.queries)}
    labels = run.items["label"].to_numpy()
    lines = []
    for row in rows:
        at = position[int(row)]
        cells = [_cell(run, int(row), "query", "#888")]
        for rank, (item, score) in enumerate(
            zip(neighbours.ids[at, :k], neighbours.similarities[at, :k], strict=True), start=1
        ):
            if item < 0:
                break
            hit = labels[item] == labels[row]
            mark = f"{rank} {'✓' if hit else '✗'} {score:.3f}"
            cells.append(_cell(run, int(item), mark, HIT if hit else MISS))
        lines.append(f'<div style="display:flex;gap:8px;margin:6px 0">{"".join(cells)}</div>')
    return Gallery(f'<div style="font:12px sans-serif">{"".join(lines)}</div>')


def _cell(run: Run, row: int, mark: str, colour: str) -> str:
    name = html.escape(str(run.items["label_name"].iloc[row]))
    data = base64.b64encode(run.thumbnail(row) or b"").decode()
    return (
        f'<div style="width:104px"><img alt="{name}" src="data:image/webp;base64,{data}" '
        f'style="width:100px;height:100px;object-fit:contain;border:3px solid {colour}">'
        f'<div style="color:{colour};font-weight:600">{mark}</div>'
        f'<div style="overflow:hidden;text-overflow:ellipsis;white-space:nowrap">{name}</div></div>'
    )
