"""Cards and rows for the image galleries: plain dicts for the ``cards`` component."""

from collections.abc import Iterable
from pathlib import PurePosixPath

import numpy as np

from retrieval.runs.run import Neighbors, Run
from workbench.data.images import picture_url, thumbnail_url
from workbench.data.notes import badges


def card(run: Run, row: int, **extra: object) -> dict:
    """Describe one item as a card.

    Args:
        run: The run the item is in.
        row: Its row.
        **extra: More keys of the component: ``rank``, ``score``, ``mark`` (``hit``, ``miss`` or
            ``none``), ``note``, ``kind`` (``query``), ``pickable``.

    Returns:
        The card; ``badge`` holds what is noted on the item.
    """
    item = run.items.iloc[row]
    label = str(item["label_name"])
    file = PurePosixPath(str(item["path"])).name
    noted = badges(run).get(int(row))
    return {
        "row": int(row),
        "run": run.name,
        "src": thumbnail_url(run, row),
        "alt": f"{label} ({file})",
        "label": label,
        "file": str(item["path"]),
        "mark": "none",
        **({"badge": noted} if noted else {}),
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


def grid_columns(k: int) -> int:
    """Return how many results to show in one row beside a query, so that rows fill up."""
    return {5: 5, 10: 5, 20: 7}.get(k, 10)


def first_hit_cards(
    run: Run, item: int, rank: int, score: float, shown: int, note: str = ""
) -> list:
    """Describe the first correct item after a gap, where it lies beyond the results shown.

    Args:
        run: The run.
        item: Row of the first correct item; -1 if there is none.
        rank: Its rank.
        score: Its similarity.
        shown: How many results are shown before it.
        note: A line below it.

    Returns:
        A gap and a card, or nothing.
    """
    if item < 0 or rank <= shown:
        return []
    extra = {"note": note} if note else {}
    return [None, card(run, item, rank=f"{rank:,}", score=f"{score:.3f}", mark="hit", **extra)]


def query_group(run: Run, neighbors: Neighbors, position: int, *, k: int, detail: str = "") -> dict:
    """Describe one query and its results: the query at the left, one line of results.

    Args:
        run: The run.
        neighbors: Of its queries.
        position: Which query.
        k: Results to show.
        detail: Text above the results; default: where the first correct item is.

    Returns:
        A group for the component.
    """
    query = int(neighbors.queries[position])
    ids, scores = neighbors.ids[position, :k], neighbors.similarities[position, :k]
    line = {
        "title": detail or rank_sentence(int(neighbors.first_hit[position])).capitalize(),
        "cards": result_cards(run, query, ids, scores),
        "size": 88,
        "layout": "line",
    }
    return {"lead": card(run, query, kind="query"), "size": 116, "rows": [line]}


def query_groups(run: Run, neighbors: Neighbors, queries: Iterable[int], *, k: int) -> list[dict]:
    """Describe several queries, one group each.

    Args:
        run: The run.
        neighbors: Of its queries.
        queries: Rows of the queries to show.
        k: Results per query.

    Returns:
        Groups for the component.
    """
    position = {int(row): i for i, row in enumerate(neighbors.queries)}
    return [query_group(run, neighbors, position[int(row)], k=k) for row in queries]


def rank_sentence(first_hit: int) -> str:
    """Say in words where the first correct item is."""
    if first_hit == 0:
        return "no item of this class in the gallery"
    if first_hit == 1:
        return "the nearest item is right"
    return f"first correct item at rank {first_hit:,}"
