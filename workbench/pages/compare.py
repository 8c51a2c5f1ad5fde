"""Compare losses: two runs on the same queries."""

import numpy as np
import pandas as pd
import streamlit as st

from workbench import comparison, figures
from workbench.components import image_cards
from workbench.figures.style import CONFIG
from workbench.gallery import card, first_hit_cards, rank_sentence, result_cards
from workbench.loading import load_neighbours, protocols_of
from workbench.lookup import answer
from workbench.navigation import jump
from workbench.pages.paging import page_of
from workbench.palette import RUN_A, RUN_B
from workbench.state import Selection, selection
from workbench.theme import page_head, plain

PER_PAGE = 8


def compare_page() -> None:
    """Draw the page."""
    chosen = selection()
    page_head("Compare losses", chosen, run=False)
    if not _comparable(chosen):
        return
    a, b = chosen.a, chosen.b
    labels = a.items["label"].to_numpy()
    result = comparison.compare(
        load_neighbours(a, chosen.protocol), load_neighbours(b, chosen.protocol), labels, chosen.k
    )
    _verdict(chosen, result)
    wins, losses, classes = st.tabs(
        [f"A right, B wrong ({result.wins:,})", f"B right, A wrong ({result.losses:,})", "Classes"],
        key="compared",
        on_change="rerun",
    )
    if wins.open:
        with wins:
            _gallery(chosen, comparison.only_right(result, "a"), "a")
    if losses.open:
        with losses:
            _gallery(chosen, comparison.only_right(result, "b"), "b")
    if classes.open:
        with classes:
            _classes(chosen, result)


def _comparable(chosen: Selection) -> bool:
    if chosen.b is None or chosen.b.name == chosen.a.name:
        st.info("Choose another run as run B in the sidebar.", icon=":material/compare_arrows:")
        return False
    if chosen.protocol not in protocols_of(chosen.b):
        st.warning(plain(f"{chosen.b.name} was not evaluated under {chosen.protocol_title}."))
        return False
    difference = comparison.difference_of_items(chosen.a, chosen.b)
    if difference:
        st.warning(plain(f"These runs cannot be compared query by query: {difference}."))
        return False
    return True


def _verdict(chosen: Selection, result: comparison.Comparison) -> None:
    n = len(result.table)
    a, b = result.table["a"].mean(), result.table["b"].mean()
    st.markdown(
        f":blue[**A** {plain(chosen.a.name)}] {100 * a:.1f} %  ·  "
        f":orange[**B** {plain(chosen.b.name)}] {100 * b:.1f} %  ·  "
        f"difference **{100 * (a - b):+.1f} points** R@1 over the same {n:,} queries"
    )
    st.plotly_chart(
        figures.win_tie_loss(result.wins, result.ties, result.losses, chosen.a.name, chosen.b.name),
        config=CONFIG | {"displayModeBar": False},
        key="bar",
    )
    st.caption(
        f"Their top-{chosen.k} lists share {100 * result.table['overlap'].mean():.0f} % of their "
        "items on average."
    )


def _open(choice: dict) -> None:
    jump("retrieval", row=int(choice["row"]), run=choice.get("run"))


def _gallery(chosen: Selection, part: pd.DataFrame, winner: str) -> None:
    rows = page_of(part["row"].to_numpy(), f"only_{winner}", PER_PAGE)
    groups = [_query_group(chosen, int(row)) for row in rows]
    image_cards({"groups": groups}, key=f"only_{winner}", on_pick=_open)


def _query_group(chosen: Selection, row: int) -> dict:
    lines = []
    for name, run, colour in (("A", chosen.a, RUN_A), ("B", chosen.b, RUN_B)):
        found = answer(run, chosen.protocol, row, chosen.k)
        cards = result_cards(run, row, found.ids, found.similarities)
        first = (found.first_hit_item, found.first_hit, found.first_hit_similarity)
        lines.append(
            {
                "title": f"{name}  {run.name}",
                "colour": colour,
                "mark": "hit" if found.first_hit == 1 else "miss",
                "detail": rank_sentence(found.first_hit),
                "cards": cards + first_hit_cards(run, *first, len(cards)),
                "size": 80,
                "layout": "line",
            }
        )
    return {"lead": card(chosen.a, row, kind="query"), "size": 132, "rows": lines}


def _classes(chosen: Selection, result: comparison.Comparison) -> None:
    table = comparison.class_recalls(result)
    unique = chosen.a.items.drop_duplicates("label").set_index("label")["label_name"].astype(str)
    names = table["label"].map(unique).tolist()
    left, right = st.columns([5, 6], gap="large")
    with left:
        event = st.plotly_chart(
            figures.class_differences(
                names, table["a"].to_numpy(), table["b"].to_numpy(), table["n"].to_numpy()
            ),
            config=CONFIG,
            key="class_delta",
            on_select="rerun",
            selection_mode="points",
        )
    points = event["selection"]["points"]
    with right:
        if not points:
            st.markdown("Click a class to see the queries on which the two runs differ.")
            return
        at = int(np.ravel(points[0]["customdata"])[0])
        label = int(table["label"][at])
        part = result.table[
            (result.table["label"] == label) & (result.table["a"] != result.table["b"])
        ]
        st.markdown(f"**{plain(names[at])}**: {len(part):,} queries differ")
        groups = [_query_group(chosen, int(row)) for row in part["row"].head(4)]
        image_cards({"groups": groups}, key="class_images", on_pick=_open)
