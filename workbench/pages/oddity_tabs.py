"""Tabs of the Failures page about odd items: hubs, orphans, near-duplicates, wrong labels."""

import numpy as np
import pandas as pd
import streamlit as st

from workbench import oddities
from workbench.components import image_cards
from workbench.gallery import card, query_groups
from workbench.pages.note_box import open_or_mark
from workbench.pages.paging import page_of
from workbench.state import Selection
from workbench.theme import class_names

SHOWN = 24


def hubs_tab(chosen: Selection, table: pd.DataFrame) -> None:
    """Draw the items in the most top-10 lists, and those in none."""
    labels = chosen.a.items["label"].to_numpy()
    gallery = oddities.gallery_rows(chosen.neighbours, chosen.a.items)
    frame = oddities.hubs_and_orphans(chosen.neighbours, labels, gallery)
    orphans = frame[frame["count"] == 0]
    st.caption(
        f"In how many of the {len(chosen.neighbours.queries):,} top-{oddities.HUB_K} lists is each "
        f"of the {len(frame):,} gallery items? On average in {frame['count'].mean():.1f}. A hub is "
        "in many, whether it belongs there or not; an orphan is in none: nobody finds it."
    )
    hubs = [
        card(
            chosen.a,
            int(row),
            rank=f"{count:,}×",
            note=f"{wrong:,} of other classes",
            mark="miss" if wrong > count / 2 else "none",
        )
        for row, count, wrong in frame.head(SHOWN).to_numpy()
    ]
    spread = np.linspace(0, len(orphans) - 1, min(SHOWN, len(orphans))).astype(int)
    lost = [card(chosen.a, int(row)) for row in orphans["row"].iloc[spread]]
    share = f"{len(orphans):,} of {len(frame):,} items are in no list"
    rows = [
        {"title": "Hubs", "detail": "in the most lists", "cards": hubs, "size": 100},
        {"title": "Orphans", "detail": share, "cards": lost, "size": 100, "empty": "None."},
    ]
    image_cards({"rows": rows}, key="hubs", on_pick=open_or_mark)


def duplicates_tab(chosen: Selection, table: pd.DataFrame) -> None:
    """Draw the most similar pairs of items that carry different labels."""
    labels = chosen.a.items["label"].to_numpy()
    pairs = oddities.cross_class_duplicates(chosen.neighbours, labels, 100)
    st.caption(
        "The most similar pairs that carry different labels: the same picture twice, look-alikes, "
        "or a wrong label."
    )
    cards: list = []
    for at in page_of(np.arange(len(pairs)), "duplicates", 20):
        pair = pairs.iloc[int(at)]
        score = f"{pair['similarity']:.3f}"
        other = card(chosen.a, int(pair["b"]), mark="miss", score=score)
        cards.append([card(chosen.a, int(pair["a"])), other])
    image_cards({"rows": [{"cards": cards, "size": 112}]}, key="duplicates", on_pick=open_or_mark)


def label_errors_tab(chosen: Selection, table: pd.DataFrame) -> None:
    """Draw queries whose neighbours agree on another class."""
    labels, names = chosen.a.items["label"].to_numpy(), class_names(chosen.a)
    found = oddities.suspected_label_errors(chosen.neighbours, labels)
    st.caption(
        f"Queries for whom most of the {oddities.HUB_K} nearest items agree on another class. "
        "Suspects, not verdicts: a weak embedding leaves the same trace."
    )
    groups = []
    for at in page_of(np.arange(len(found)), "errors"):
        suspect = found.iloc[int(at)]
        group = query_groups(chosen.a, chosen.neighbours, [int(suspect["row"])], k=chosen.k)[0]
        share, other = 100 * suspect["share"], names[int(suspect["suggested"])]
        group["rows"][0]["title"] = f"{share:.0f} % of its neighbours are {other}"
        groups.append(group)
    image_cards({"groups": groups}, key="label_errors", on_pick=open_or_mark)
