"""Galleries as plain HTML with the thumbnails inside: for notebooks and reports.

>>> from retrieval.runs import Run                                     # doctest: +SKIP
>>> from workbench.html_gallery import show_failures                   # doctest: +SKIP
>>> show_failures(Run(Path("runs/grocery/semi_hard_triplet")))         # doctest: +SKIP
"""

import base64
import html
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from retrieval.runs import Neighbours, Run
from workbench import failures
from workbench.palette import HIT, HIT_SIGN, MISS, MISS_SIGN

STYLE = f"""<style>
.rw-line {{ display: flex; gap: 8px; margin: 4px 0 16px; font: 13px/1.25 system-ui, sans-serif; }}
.rw-line figure {{ margin: 0; width: 96px; flex: none; }}
.rw-line img {{ width: 96px; height: 96px; object-fit: contain; border-radius: 6px; margin: 0;
  background: rgba(128, 140, 152, .12); outline: 1px solid rgba(128, 140, 152, .4);
  outline-offset: -1px; }}
.rw-line .hit img {{ outline: 3px solid {HIT}; outline-offset: -3px; }}
.rw-line .miss img {{ outline: 3px dashed {MISS}; outline-offset: -3px; }}
.rw-line figcaption {{ font-size: 12px; overflow: hidden; max-height: 46px; text-align: left; }}
.rw-title {{ font: 600 14px/1.3 system-ui, sans-serif; margin: 0; }}
.rw-title span {{ font-weight: 400; opacity: .65; }}
</style>"""
ORDERS = {
    "confident": failures.confident_and_wrong,
    "near miss": failures.near_misses,
    "worst rank": failures.worst_ranks,
}


@dataclass(frozen=True)
class Gallery:
    """HTML that a notebook shows by itself.

    Attributes:
        html: The markup, style and images included.
    """

    html: str

    def _repr_html_(self) -> str:
        return self.html


def show_failures(
    run: Run, *, order: str = "confident", count: int = 5, k: int = 8, protocol: str | None = None
) -> Gallery:
    """Show a run's failures, one line each: the query, then its nearest items.

    Args:
        run: The run.
        order: ``confident``, ``near miss`` or ``worst rank``.
        count: How many queries.
        k: Results per query.
        protocol: Name of the protocol; default: the run's primary one.

    Returns:
        A gallery.

    Raises:
        KeyError: Unknown order.
    """
    neighbours = run.neighbours(protocol)
    table = failures.query_table(neighbours, run.items["label"].to_numpy())
    return show_queries(run, ORDERS[order](table)["row"].head(count), k=k, protocol=protocol)


def show_queries(
    run: Run, rows: Iterable[int], *, k: int = 8, protocol: str | None = None
) -> Gallery:
    """Show some queries, one line each: the query, then its nearest items.

    Args:
        run: The run.
        rows: Rows of the queries.
        k: Results per query.
        protocol: Name of the protocol; default: the run's primary one.

    Returns:
        A gallery.
    """
    neighbours = run.neighbours(protocol)
    position = {int(row): i for i, row in enumerate(neighbours.queries)}
    lines = [query_line(run, neighbours, position[int(row)], k) for row in rows]
    return Gallery(STYLE + "\n".join(lines))


def query_line(run: Run, neighbours: Neighbours, position: int, k: int) -> str:
    """Return one query and its results as HTML.

    Args:
        run: The run.
        neighbours: Of its queries.
        position: Which query.
        k: Results.

    Returns:
        Markup that needs :data:`STYLE`.
    """
    labels = run.items["label"].to_numpy()
    query = int(neighbours.queries[position])
    figures = [_figure(run, query, "", "query")]
    for rank, row in enumerate(neighbours.ids[position, :k], 1):
        if row < 0:
            continue
        hit = bool(labels[row] == labels[query])
        sign = HIT_SIGN if hit else MISS_SIGN
        note = f"{rank} · {neighbours.similarities[position, rank - 1]:.3f} {sign}"
        figures.append(_figure(run, int(row), "hit" if hit else "miss", note))
    rank = int(neighbours.first_hit[position])
    where = (
        f"first correct item at rank {rank:,}" if rank else "no item of its class in the gallery"
    )
    name = html.escape(str(run.items["label_name"].iloc[query]))
    return (
        f'<p class="rw-title">{name} <span>{where}</span></p>'
        f'<div class="rw-line">{"".join(figures)}</div>'
    )


def _figure(run: Run, row: int, kind: str, note: str) -> str:
    data = run.thumbnail(row)
    source = f"data:image/webp;base64,{base64.b64encode(data).decode()}" if data else ""
    label = html.escape(str(run.items["label_name"].iloc[row]))
    return (
        f'<figure class="{kind}"><img src="{source}" alt="{label}">'
        f"<figcaption>{html.escape(note)}<br>{label}</figcaption></figure>"
    )


def failure_positions(neighbours: Neighbours, labels: np.ndarray, count: int) -> list[int]:
    """Return which queries are the most confident failures, at most ``count``."""
    table = failures.query_table(neighbours, labels)
    return [int(i) for i in failures.confident_and_wrong(table).index[:count]]
