"""Cards, rows and groups of the image galleries: plain dicts for the ``cards`` component.

A card is one image. A row has a title and cards; a group has a lead card (the query) and rows.
"""

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any, Literal

import numpy as np

from retrieval.evaluation.ranking import BEYOND
from retrieval.runs.run import Neighbors, Run
from workbench.analysis.metadata import facts, picture_address, shown_columns
from workbench.analysis.nearness import nearness_text
from workbench.data.images import picture_url, thumbnail_url
from workbench.data.lookup import Answer
from workbench.data.notes import badges

Mark = Literal["hit", "miss", "none"]
UNKNOWN = "the nearest items; what is relevant is unknown"


def card(
    run: Run,
    row: int,
    *,
    rank: int | str | None = None,
    score: str | None = None,
    mark: Mark = "none",
    note: str | None = None,
    kind: Literal["query", "chosen"] | None = None,
    lines: Sequence[str] = (),
) -> dict[str, Any]:
    """Describe one item as a card that can be clicked.

    Args:
        run: The run that holds the item.
        row: Row of the item.
        rank: Rank shown below the image. Defaults to none.
        score: Similarity, or another short text, next to the rank. Defaults to none.
        mark: ``hit`` or ``miss`` adds a sign and a colored outline. Defaults to ``none``.
        note: A line of text below the name of the class. Defaults to none.
        kind: ``query`` and ``chosen`` outline the image in the color of text. Defaults to neither.
        lines: Further lines of text. Defaults to none.

    Returns:
        The card; ``badge`` is the user's note on the item, if there is one, and ``remote`` the web
        address of its picture, if there is no other.
    """
    item = run.items.iloc[row]
    label = str(item["label_name"])
    file = PurePosixPath(str(item["path"])).name
    optional = {
        "rank": rank,
        "score": score,
        "note": note,
        "kind": kind,
        "lines": list(lines),
        "badge": badges(run).get(int(row)),
        "remote": "" if run.thumbnail(row) else picture_address(run, row),
    }
    return {
        "row": int(row),
        "run": run.name,
        "src": thumbnail_url(run, row),
        "alt": f"{label} ({file})",
        "label": label,
        "file": str(item["path"]),
        "mark": mark,
        **{name: value for name, value in optional.items() if value},
    }


def query_card(run: Run, row: int, *, lines: Sequence[str] = ()) -> dict[str, Any]:
    """Describe the query as a card with its large picture and all of its own columns.

    It cannot be clicked, but links in its columns can.

    Args:
        run: The run that holds the item.
        row: Row of the item.
        lines: Lines of text below the name of the class. Defaults to none.

    Returns:
        The card.
    """
    about = facts(run, row, shown_columns(run))
    large = {"src": picture_url(run, row), "pickable": False, "facts": about}
    return card(run, row, kind="query", lines=lines) | large


def with_facts(
    data: dict[str, Any], runs: dict[str, Run], columns: Sequence[str]
) -> dict[str, Any]:
    """Add columns of the items, such as the price, to every card that has none.

    Args:
        data: Rows and groups of cards.
        runs: Name -> run, of the cards.
        columns: Names of the columns.

    Returns:
        The same rows and groups, with other cards.
    """

    def told(cell: Any) -> Any:
        if isinstance(cell, list):
            return [told(each) for each in cell]
        if cell is None or "facts" in cell or cell.get("run") not in runs:
            return cell
        return cell | {"facts": facts(runs[cell["run"]], cell["row"], columns)}

    def row(row: dict[str, Any]) -> dict[str, Any]:
        return row | {"cards": [told(cell) for cell in row["cards"]]}

    found = dict(data)
    if "rows" in found:
        found["rows"] = [row(each) for each in found["rows"]]
    if "groups" in found:
        found["groups"] = [
            group | {"lead": told(group["lead"]), "rows": [row(each) for each in group["rows"]]}
            for group in found["groups"]
        ]
    return found


def result_cards(
    run: Run, ids: np.ndarray, scores: np.ndarray, relevant: np.ndarray, *, known: bool = True
) -> list[dict]:
    """Describe the results of a query, each with its rank and marked as hit or miss.

    Args:
        run: The run that holds the items.
        ids: int, (k,), rows of the results, nearest first; -1 is padding.
        scores: float, (k,), similarities of the results.
        relevant: bool, (k,), which results are relevant.
        known: Whether that is known; without it, no result is marked. Defaults to True.

    Returns:
        One card per result.
    """
    return [
        card(
            run,
            int(row),
            rank=rank,
            score=nearness_text(run, score),
            mark=("hit" if hit else "miss") if known else "none",
        )
        for rank, (row, score, hit) in enumerate(zip(ids, scores, relevant, strict=True), 1)
        if row >= 0
    ]


def grid_columns(k: int) -> int:
    """Return how many of k results to show per line, so that lines are full."""
    return {5: 5, 10: 5, 20: 7}.get(k, 10)


def answer_cards(run: Run, found: Answer, note: str = "") -> list[dict | None]:
    """Describe the results of a query and, after a gap, the first relevant item if it is not shown.

    Args:
        run: The run that holds the items.
        found: The run's answer to the query.
        note: A line of text below the card after the gap. By default, none.

    Returns:
        One card per result, then perhaps a gap (None) and a card.
    """
    cards: list[dict | None] = [
        *result_cards(run, found.ids, found.similarities, found.relevant, known=found.known)
    ]
    if found.first_relevant_item < 0 or found.first_relevant_rank <= len(cards):
        return cards
    first = card(
        run,
        found.first_relevant_item,
        rank=f"{found.first_relevant_rank:,}",
        score=nearness_text(run, found.first_relevant_similarity),
        mark="hit",
        note=note,
    )
    return [*cards, None, first]


def query_group(run: Run, neighbors: Neighbors, position: int, *, k: int, detail: str = "") -> dict:
    """Describe one query and its results: the query on the left and one line of results.

    Args:
        run: The run that holds the items.
        neighbors: The run's neighbors under one protocol.
        position: Position of the query among the queries of ``neighbors``.
        k: Number of results to show.
        detail: Text above the results. By default, the rank of the first relevant item.

    Returns:
        A group for the component.
    """
    query = int(neighbors.queries[position])
    ids, scores = neighbors.ids[position, :k], neighbors.similarities[position, :k]
    relevant = neighbors.hits_of(position, run.items["label"].to_numpy())[:k]
    known = run.knows_relevant(neighbors.protocol)
    rank = int(neighbors.first_relevant_rank[position])
    line = {
        "title": detail or (rank_sentence(rank) if known else UNKNOWN).capitalize(),
        "cards": result_cards(run, ids, scores, relevant, known=known),
        "size": 88,
        "layout": "line",
    }
    return {"lead": card(run, query, kind="query"), "size": 116, "rows": [line]}


def query_groups(run: Run, neighbors: Neighbors, queries: Iterable[int], *, k: int) -> list[dict]:
    """Describe several queries, one group each.

    Args:
        run: The run that holds the items.
        neighbors: The run's neighbors under one protocol.
        queries: Rows of the queries to show.
        k: Number of results per query.

    Returns:
        Groups for the component.
    """
    position = {int(row): i for i, row in enumerate(neighbors.queries)}
    return [query_group(run, neighbors, position[int(row)], k=k) for row in queries]


def standing(found: Answer, further: str = "") -> dict[str, str]:
    """Return the mark and the words about a run's answer; none if what is relevant is unknown.

    Args:
        found: The answer.
        further: What to say after the rank of the first relevant item. Defaults to nothing.
    """
    if not found.known:
        return {}
    parts = filter(None, (rank_sentence(found.first_relevant_rank), further))
    return {
        "mark": "hit" if found.first_relevant_rank == 1 else "miss",
        "detail": "  ·  ".join(parts),
    }


def rank_sentence(first_relevant_rank: int) -> str:
    """Describe the rank of the first relevant item in words; 0 means that there is none."""
    if first_relevant_rank == 0:
        return "no item of this class in the gallery"
    if first_relevant_rank == 1:
        return "the nearest item is right"
    if first_relevant_rank == BEYOND:
        return "no relevant item in the ranked list"
    return f"first relevant item at rank {first_relevant_rank:,}"
