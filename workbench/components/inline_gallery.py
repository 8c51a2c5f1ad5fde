"""Galleries as self-contained HTML, for notebooks and reports."""

import base64
import html
from collections.abc import Iterable

import numpy as np

from retrieval.evaluation.ranking import BEYOND
from retrieval.runs.run import Neighbors, Run
from workbench.analysis.failures import confident_and_wrong, failures, query_table
from workbench.analysis.nearness import nearness_text
from workbench.figures.colors import HIT, HIT_SIGN, MISS, MISS_SIGN

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


class Gallery(str):
    """HTML that a notebook renders instead of showing it as a string."""

    def _repr_html_(self) -> str:
        return str(self)

    def __repr__(self) -> str:
        """Return a short text, so that a notebook does not store the HTML twice."""
        return "<gallery of images>"


def random_failure_rows(
    run: Run, neighbors: Neighbors, count: int = 6, seed: int = 0
) -> np.ndarray:
    """Draw queries at random among those whose nearest item is of another class.

    Args:
        run: The run that holds the items.
        neighbors: The run's neighbors under one protocol.
        count: Largest number of queries. Defaults to 6.
        seed: Seed of the draw. Defaults to 0.

    Returns:
        int, (at most count,), item rows.
    """
    wrong = failures(query_table(neighbors, run.items["label"].to_numpy()))["row"].to_numpy()
    order = np.random.default_rng(seed).permutation(len(wrong))[:count]
    return np.sort(wrong[order])


def confident_failure_rows(run: Run, neighbors: Neighbors, count: int = 6) -> np.ndarray:
    """Return the queries whose nearest item is wrong and the most similar to the query.

    Args:
        run: The run that holds the items.
        neighbors: The run's neighbors under one protocol.
        count: Largest number of queries. Defaults to 6.

    Returns:
        int, (at most count,), item rows, the most similar wrong item first.
    """
    table = query_table(neighbors, run.items["label"].to_numpy())
    return confident_and_wrong(table)["row"].to_numpy()[:count]


def gallery(run: Run, neighbors: Neighbors, rows: Iterable[int], k: int = 6) -> Gallery:
    """Show queries, each with its k nearest items, hits and misses marked by sign and color.

    Args:
        run: The run, whose thumbnails are shown.
        neighbors: The run's neighbors under one protocol.
        rows: Item rows of the queries to show.
        k: Number of neighbors per query. Defaults to 6.

    Returns:
        Self-contained HTML.
    """
    position = {int(row): i for i, row in enumerate(neighbors.queries)}
    lines = [_query(run, neighbors, position[int(row)], k) for row in rows]
    return Gallery(STYLE + "\n".join(lines))


def _query(run: Run, neighbors: Neighbors, position: int, k: int) -> str:
    hits = neighbors.hits_of(position, run.items["label"].to_numpy())
    query = int(neighbors.queries[position])
    figures = [_figure(run, query, "", "query")]
    for rank, row in enumerate(neighbors.ids[position, :k], 1):
        if row < 0:
            continue
        hit = bool(hits[rank - 1])
        sign = HIT_SIGN if hit else MISS_SIGN
        note = f"{rank} · {nearness_text(run, neighbors.similarities[position, rank - 1])} {sign}"
        figures.append(_figure(run, int(row), "hit" if hit else "miss", note))
    where = rank_in_words(int(neighbors.first_relevant_rank[position]))
    name = html.escape(str(run.items["label_name"].iloc[query]))
    return (
        f'<p class="rw-title">{name} <span>{where}</span></p>'
        f'<div class="rw-line">{"".join(figures)}</div>'
    )


def rank_in_words(rank: int) -> str:
    """Say where the first relevant item is; 0 is that there is none."""
    if rank == BEYOND:
        return "no relevant item in the ranked list"
    return (
        f"first relevant item at rank {rank:,}" if rank else "no item of its class in the gallery"
    )


def _figure(run: Run, row: int, kind: str, note: str) -> str:
    data = run.thumbnail(row)
    source = f"data:image/webp;base64,{base64.b64encode(data).decode()}" if data else ""
    label = html.escape(str(run.items["label_name"].iloc[row]))
    return (
        f'<figure class="{kind}"><img src="{source}" alt="{label}">'
        f"<figcaption>{html.escape(note)}<br>{label}</figcaption></figure>"
    )
