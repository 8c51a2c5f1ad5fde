"""Tabs of the Failures page about hubs, anti-hubs, near-duplicates and suspected label errors."""

import numpy as np
import streamlit as st

from retrieval.runs.large import MANY_ITEMS, is_large
from retrieval.runs.run import Neighbors, Run
from retrieval.validation import LEAVE_ONE_OUT
from workbench.analysis import oddities
from workbench.analysis.naming import class_names
from workbench.analysis.nearness import nearness_text
from workbench.components.gallery import Mark, card, query_groups
from workbench.figures.colors import MISS_SIGN
from workbench.pages.shared.cards import clickable_cards
from workbench.pages.shared.note_box import open_or_mark
from workbench.pages.shared.paging import page_of
from workbench.session.parameters import PAIRS
from workbench.session.selection import Selection

SHOWN = 27  # three rows of nine in a window 1440 pixels wide
NO_ROLE = "\u00a0"  # keeps the names of a pair at one height
SAME = 0.9999  # least cosine similarity of two embeddings that count as the same
ACROSS = {"All pairs": None, "Different classes": True, "Same class": False}


def hubs_tab(chosen: Selection) -> None:
    """Draw the items in the most top-10 lists, and items in none.

    Args:
        chosen: The choices made in the sidebar.
    """
    labels = chosen.a.items["label"].to_numpy()
    gallery = oddities.gallery_rows(chosen.neighbors, chosen.a.items)
    frame = oddities.occurrences(chosen.neighbors, labels, gallery)
    anti_hubs = frame[frame["count"] == 0]
    known = chosen.a.knows_relevant(chosen.protocol)
    legend = (
        f" {MISS_SIGN} marks a hub whose class is not the query's in more than half of its lists."
    )
    st.caption(
        f"Each of the {len(chosen.neighbors.queries):,} queries has a list of its "
        f"{oddities.HUB_K} nearest items; on average, each of the {len(frame):,} gallery items is "
        f"in {frame['count'].mean():.1f} of these lists. A **hub** is in many of them, whether or "
        "not it is relevant; an **anti-hub** is in none, so no query finds it."
        + (legend if known else "")
    )
    hubs = [
        card(
            chosen.a,
            int(row),
            rank=f"{count:,}×",
            note=f"wrong in {wrong:,}" if known else None,
            mark="miss" if known and wrong > count / 2 else "none",
        )
        for row, count, wrong in frame.head(SHOWN).to_numpy()
    ]
    spread = np.linspace(0, len(anti_hubs) - 1, min(SHOWN, len(anti_hubs))).astype(int)
    shown = [card(chosen.a, int(row)) for row in anti_hubs["row"].iloc[spread]]
    share = f"{len(anti_hubs):,} of {len(frame):,} items are in no list"
    share += f"; {len(shown)} of them shown, spread evenly" if len(shown) < len(anti_hubs) else ""
    rows = [
        {
            "title": "Hubs",
            "detail": f"the {len(hubs)} items in the most lists",
            "cards": hubs,
            "size": 100,
        },
        {
            "title": "Anti-hubs",
            "detail": share,
            "cards": shown,
            "size": 100,
            "empty": "There are none.",
        },
    ]
    clickable_cards({"rows": rows}, key="hubs", on_pick=open_or_mark)


def duplicates_tab(chosen: Selection) -> None:
    """Draw the most similar pairs of items: all, or those of the same or of different classes.

    Args:
        chosen: The choices made in the sidebar.
    """
    items, names = chosen.a.items, list(ACROSS)
    labeled = chosen.a.has_labels
    everywhere = LEAVE_ONE_OUT in chosen.a.results
    neighbors = chosen.a.neighbors(LEAVE_ONE_OUT if everywhere else chosen.protocol)
    which = PAIRS.keep(names[0], names if labeled else names[:1])
    if labeled:
        st.segmented_control(
            "Pairs", names, key=PAIRS.key, required=True, label_visibility="collapsed"
        )
    pairs = oddities.near_duplicates(neighbors, items["label"].to_numpy(), across=ACROSS[which])
    st.caption(
        f"The {len(pairs):,} most similar pairs: duplicates of an image, look-alikes"
        + (f" or, where {MISS_SIGN} marks different classes, wrong labels. " if labeled else ". ")
        + f"{searched_pairs(neighbors, len(items))} {duplicates_note(chosen.a, neighbors)}"
    )
    labels, roles = items["label"].to_numpy(), items["role"].to_numpy()
    cards: list = []
    for at in page_of(np.arange(len(pairs)), "duplicates", 20):
        pair = pairs.iloc[int(at)]
        a, b = int(pair["a"]), int(pair["b"])
        mark: Mark = "miss" if labeled and labels[a] != labels[b] else "none"
        role = [NO_ROLE if roles[row] == "both" else roles[row] for row in (a, b)]
        first = card(
            chosen.a, a, score=f"{nearness_text(chosen.a, pair['similarity'], 4)} {role[0]}"
        )
        cards.append([first, card(chosen.a, b, mark=mark, score=role[1])])
    clickable_cards(
        {"rows": [{"cards": cards, "size": 112}]}, key="duplicates", on_pick=open_or_mark
    )


def searched_pairs(neighbors: Neighbors, n_items: int) -> str:
    """Say which pairs of items were searched for near-duplicates.

    Args:
        neighbors: The neighbors that the pairs come from.
        n_items: Number of items of the run.
    """
    if neighbors.protocol == LEAVE_ONE_OUT:
        return (
            f"All pairs of the {n_items:,} items were searched, queries and gallery items alike "
            "(the stored leave-one-out neighbors); each item is paired with its nearest."
        )
    return (
        f"The {len(neighbors.queries):,} queries were searched against the gallery. Pairs within "
        "the gallery were not, because "
        + (
            f"a run of more than {MANY_ITEMS:,} items is not compared with itself."
            if is_large(n_items)
            else "the run has no leave-one-out neighbors."
        )
    )


def duplicates_note(run: Run, neighbors: Neighbors) -> str:
    """Say how many items have the same embedding as another item.

    Args:
        run: The run that holds the items.
        neighbors: The run's neighbors under one protocol.

    Returns:
        A sentence; empty if similarity is not the cosine.
    """
    if run.result(neighbors.protocol).protocol.distance != "cosine":
        return ""
    n = oddities.count_duplicates(neighbors, SAME)
    have = "item has" if n == 1 else "items have"
    return f"{n:,} {have} the same embedding as another item (cosine similarity {SAME} or more)."


def label_errors_tab(chosen: Selection) -> None:
    """Draw queries whose neighbors agree on another class.

    Args:
        chosen: The choices made in the sidebar.
    """
    labels, names = chosen.a.items["label"].to_numpy(), class_names(chosen.a)
    found = oddities.suspected_label_errors(chosen.neighbors, labels)
    st.caption(
        f"For {len(found):,} of {len(chosen.neighbors.queries):,} queries, at least "
        f"{100 * oddities.AGREE:.0f}% of the {oddities.HUB_K} nearest items are of one other "
        "class. These are only suspects: a weak embedding looks the same."
    )
    groups = []
    for at in page_of(np.arange(len(found)), "errors"):
        suspect = found.iloc[int(at)]
        group = query_groups(chosen.a, chosen.neighbors, [int(suspect["row"])], k=chosen.k)[0]
        share, other = 100 * suspect["share"], names[int(suspect["suggested"])]
        group["rows"][0]["title"] = f"{share:.0f}% of its {oddities.HUB_K} nearest are {other}"
        groups.append(group)
    clickable_cards({"groups": groups}, key="label_errors", on_pick=open_or_mark)
