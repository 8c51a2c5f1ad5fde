"""The sentence at the top of the Failures page: how much is wrong, and what is worst."""

import numpy as np
import pandas as pd

from retrieval.errors import counted
from workbench.analysis import failures
from workbench.layout.theme import plain

LONGEST = 40


def headline(
    table: pd.DataFrame, labels: np.ndarray, names: dict[int, str], *, has_classes: bool = True
) -> str:
    """Say how many queries a run gets wrong, which classes it confuses and which class is worst.

    Args:
        table: See :func:`workbench.analysis.failures.query_table`.
        labels: int64, (n,), label of every item.
        names: Label -> class name.
        has_classes: Whether queries have classes. Defaults to True; otherwise every query is one of
            its own, and nothing is said of them.

    Returns:
        Markdown, in which every number comes with its total.
    """
    wrong, n = len(failures.failures(table)), int(table["answerable"].sum())
    text = f"**{wrong:,} of {n:,}** queries ({100 * wrong / max(1, n):.1f}%) are wrong at rank 1."
    if not wrong or not has_classes:
        return text
    confused = _confused(failures.confused_pairs(table, labels), names)
    return f"{text} {confused} {_worst(failures.class_table(table), names)}"


def _confused(pairs: pd.DataFrame, names: dict[int, str]) -> str:
    first = pairs.iloc[0]
    count, ties = int(first["count"]), int((pairs["count"] == first["count"]).sum()) - 1
    if count == 1 and ties:
        return "No two classes are confused more than once."
    note = counted(count, "query", "queries")
    note += f"; {counted(ties, 'other pair')} as often" if ties else ""
    return f"Most confused: {_name(names[first['a']])} and {_name(names[first['b']])} ({note})."


def _worst(classes: pd.DataFrame, names: dict[int, str]) -> str:
    first = classes.iloc[0]
    queries, right = int(first["queries"]), round(first["queries"] * first["recall"])
    name = _name(names[int(first["label"])])
    never = int((classes["recall"] == 0).sum())
    if never > 1:
        return (
            f"Worst classes: {never:,} of {len(classes):,} have no query right; the one with the "
            f"most queries is {name} (0 of {queries:,})."
        )
    return f"Worst class: {name} ({right:,} of {queries:,} right)."


def _name(name: str) -> str:
    """Shorten a name and isolate it, so that a right-to-left name keeps the sentence in order."""
    text = " ".join(name.split())
    text = text if len(text) <= LONGEST else text[: LONGEST - 1].rstrip() + "…"
    return f"**\u2068{plain(text)}\u2069**"
