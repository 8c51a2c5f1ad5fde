"""Tabs of the Failures page about odd items: hubs, orphans, near-duplicates, wrong labels."""

import numpy as np
import pandas as pd
import streamlit as st

from retrieval.runs.run import Neighbors, Run
from workbench.analysis import oddities
from workbench.components.gallery import card, query_groups
from workbench.figures.colors import MISS_SIGN
from workbench.layout.theme import class_names
from workbench.pages.shared.cards import clickable_cards
from workbench.pages.shared.note_box import open_or_mark
from workbench.pages.shared.paging import page_of
from workbench.session.parameters import PAIRS
from workbench.session.selection import Selection

SHOWN = 27  # three rows of nine in a window of 1440 pixels
LEAVE_ONE_OUT = "leave_one_out"
NO_ROLE = "\u00a0"  # keeps the names of a pair at one height
SAME = 0.9999  # cosine similarity of what counts as the same embedding
ACROSS = {"All pairs": None, "Different classes": True, "Same class": False}


def hubs_tab(chosen: Selection, table: pd.DataFrame) -> None:
    """Draw the items in the most top-10 lists, and those in none."""
    labels = chosen.a.items["label"].to_numpy()
    gallery = oddities.gallery_rows(chosen.neighbors, chosen.a.items)
    frame = oddities.hubs_and_orphans(chosen.neighbors, labels, gallery)
    orphans = frame[frame["count"] == 0]
    st.caption(
        f"In how many of the {len(chosen.neighbors.queries):,} top-{oddities.HUB_K} lists is each "
        f"of the {len(frame):,} gallery items? On average in {frame['count'].mean():.1f}. "
        "A **hub** is in many, whether it belongs there or not; an **orphan** is in none: nobody "
        f"finds it. {MISS_SIGN} marks a hub that is wrong in more than half of its lists: their "
        "queries are of other classes."
    )
    hubs = [
        card(
            chosen.a,
            int(row),
            rank=f"{count:,}×",
            note=f"wrong in {wrong:,}",
            mark="miss" if wrong > count / 2 else "none",
        )
        for row, count, wrong in frame.head(SHOWN).to_numpy()
    ]
    spread = np.linspace(0, len(orphans) - 1, min(SHOWN, len(orphans))).astype(int)
    lost = [card(chosen.a, int(row)) for row in orphans["row"].iloc[spread]]
    share = f"{len(orphans):,} of {len(frame):,} items are in no list"
    share += f"; {len(lost)} of them shown, spread evenly" if len(lost) < len(orphans) else ""
    rows = [
        {
            "title": "Hubs",
            "detail": f"the {len(hubs)} items in the most lists",
            "cards": hubs,
            "size": 100,
        },
        {"title": "Orphans", "detail": share, "cards": lost, "size": 100, "empty": "None."},
    ]
    clickable_cards({"rows": rows}, key="hubs", on_pick=open_or_mark)


def duplicates_tab(chosen: Selection, table: pd.DataFrame) -> None:
    """Draw the most similar pairs of items, of any classes or as chosen."""
    items, names = chosen.a.items, list(ACROSS)
    everywhere = LEAVE_ONE_OUT in chosen.a.results
    neighbors = chosen.a.neighbors(LEAVE_ONE_OUT if everywhere else chosen.protocol)
    PAIRS.keep(names[0], names)
    which = st.segmented_control(
        "Pairs", names, key=PAIRS.key, required=True, label_visibility="collapsed"
    )
    pairs = oddities.near_duplicates(neighbors, items["label"].to_numpy(), across=ACROSS[which])
    st.caption(
        f"The {len(pairs):,} most similar pairs: the same picture twice, look-alikes or, where "
        f"{MISS_SIGN} marks different classes, a wrong label. "
        f"{searched(neighbors, len(items))} {doubles(chosen.a, neighbors)}"
    )
    labels, roles = items["label"].to_numpy(), items["role"].to_numpy()
    cards: list = []
    for at in page_of(np.arange(len(pairs)), "duplicates", 20):
        pair = pairs.iloc[int(at)]
        a, b = int(pair["a"]), int(pair["b"])
        mark = "none" if labels[a] == labels[b] else "miss"
        role = [NO_ROLE if roles[row] == "both" else roles[row] for row in (a, b)]
        first = card(chosen.a, a, score=f"{pair['similarity']:.4f} {role[0]}")
        cards.append([first, card(chosen.a, b, mark=mark, score=role[1])])
    clickable_cards(
        {"rows": [{"cards": cards, "size": 112}]}, key="duplicates", on_pick=open_or_mark
    )


def searched(neighbors: Neighbors, n_items: int) -> str:
    """Say which pairs of items a list of near-duplicates was taken from."""
    if neighbors.protocol == LEAVE_ONE_OUT:
        return (
            f"Searched: all pairs of the {n_items:,} items, queries and gallery alike (the stored "
            "leave-one-out neighbors); each item is paired with its nearest."
        )
    return (
        f"Searched: the {len(neighbors.queries):,} queries against the gallery. Pairs within the "
        "gallery are not: the run holds no leave-one-out neighbors."
    )


def doubles(run: Run, neighbors: Neighbors) -> str:
    """Say how many items have another one with the same embedding, where similarity is cosine."""
    if run.result(neighbors.protocol).protocol.distance != "cosine":
        return ""
    n = oddities.with_a_double(neighbors, SAME)
    have = "item has" if n == 1 else "items have"
    return f"{n:,} {have} another with the same embedding (cosine similarity {SAME} or more)."


def label_errors_tab(chosen: Selection, table: pd.DataFrame) -> None:
    """Draw queries whose neighbors agree on another class."""
    labels, names = chosen.a.items["label"].to_numpy(), class_names(chosen.a)
    found = oddities.suspected_label_errors(chosen.neighbors, labels)
    st.caption(
        f"{len(found):,} of {len(chosen.neighbors.queries):,} queries have at least "
        f"{100 * oddities.AGREE:.0f} % of their {oddities.HUB_K} nearest items in one other class. "
        "Suspects, not verdicts: a weak embedding leaves the same trace."
    )
    groups = []
    for at in page_of(np.arange(len(found)), "errors"):
        suspect = found.iloc[int(at)]
        group = query_groups(chosen.a, chosen.neighbors, [int(suspect["row"])], k=chosen.k)[0]
        share, other = 100 * suspect["share"], names[int(suspect["suggested"])]
        group["rows"][0]["title"] = f"{share:.0f} % of its {oddities.HUB_K} nearest are {other}"
        groups.append(group)
    clickable_cards({"groups": groups}, key="label_errors", on_pick=open_or_mark)
