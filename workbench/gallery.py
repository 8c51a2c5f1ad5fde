"""Cards and rows for the image galleries: plain dicts for the ``cards`` component."""

from collections.abc import Iterable
from pathlib import PurePosixPath

import numpy as np

from retrieval.runs import Neighbours, Run
from workbench.images import picture_url, thumbnail_url


def card(run: Run, row: int, **extra: object) -> dict:
    """Describe one item as a card.

    Args:
        run: The run the item is in.
        row: Its row.
        **extra: More keys of the component: ``rank``, ``score``, ``mark`` (``hit``, ``miss`` or
            ``none``), ``note``, ``kind`` (``query``), ``pickable``.

    Returns:
        The card.
    """
    item = run.items.iloc[row]
    label = str(item["label_name"])
    file = PurePosixPath(str(item["path"])).name
    return {
        "row": int(row),
        "run": run.name,
        "src": thumbnail_url(run, row),
        "alt": f"{label} ({file})",
        "label": label,
        "file": str(item["path"]),
        "mark": "none",
    } | extra


def query_card(run: Run, row: int, **extra: object) -> dict:
    """Describe the query as a card with its full picture."""
    return card(run, row, kind="query", pickable=False) | {"src": picture_url(run, row)} | extra


def result_cards(run: Run, query: int, ids: np.ndarray, scores: np.ndarray) -> list[dict]:
    """Describe a query's results, ranked, each marked as hit or miss.

    Args:
        run: The run.
        query: Row of the query.
        ids: int, (k,), rows of the results, nearest first; -1 pads.
        scores: float, (k,), their similarities.

    Returns:
        One card per result.
    """
    labels = run.items["label"].to_numpy()
    return [
        card(
            run,
            int(row),
            rank=rank,
            score=f"{score:.3f}",
            mark="hit" if labels[row] == labels[query] else "miss",
        )
        for rank, (row, score) in enumerate(zip(ids, scores, strict=True), 1)
        if row >= 0
    ]


def pair_cards(run: Run, query: int, neighbours: Neighbours, position: int, k: int) -> list:
    """Describe a query followed by its first k results, for one line of a failure gallery."""
    first = card(run, query, kind="query")
    ids, scores = neighbours.ids[position, :k], neighbours.similarities[position, :k]
    return [first, *result_cards(run, query, ids, scores)]


def rows_of_queries(
    run: Run,
    neighbours: Neighbours,
    queries: Iterable[int],
    *,
    k: int = 6,
    size: int = 84,
) -> list[dict]:
    """Describe one line per query: the query, then its first k results.

    Args:
        run: The run.
        neighbours: Of its queries.
        queries: Rows of the queries to show.
        k: Results per line.
        size: Side of a card, px.

    Returns:
        Rows for the component.
    """
    position = {int(row): i for i, row in enumerate(neighbours.queries)}
    lines = []
    for query in queries:
        at = position[int(query)]
        lines.append(
            {
                "title": str(run.items["label_name"].iloc[int(query)]),
                "detail": rank_sentence(int(neighbours.first_hit[at])),
                "cards": pair_cards(run, int(query), neighbours, at, k),
                "size": size,
                "layout": "line",
            }
        )
    return lines


def rank_sentence(first_hit: int) -> str:
    """Say in words where the first correct item is."""
    if first_hit == 0:
        return "no item of this class in the gallery"
    if first_hit == 1:
        return "the nearest item is right"
    return f"first correct item at rank {first_hit:,}"
