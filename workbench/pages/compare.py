"""Compare losses: two runs on the same queries."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from retrieval.runs import Run
from workbench import address, comparison, figures
from workbench.components import image_cards
from workbench.exports import export_menu
from workbench.figures.style import CONFIG
from workbench.gallery import card, first_hit_cards, rank_sentence, result_cards
from workbench.loading import load_neighbours, protocols_of
from workbench.lookup import answer
from workbench.naming import seed_of
from workbench.navigation import jump
from workbench.pages.compare_maps import maps_tab
from workbench.pages.evidence import compare_groups
from workbench.pages.paging import page_of
from workbench.palette import RUN_A, RUN_B
from workbench.significance import Comparison, both_ways
from workbench.state import Selection, selection
from workbench.theme import class_names, file_stem, page_head, plain

PER_PAGE = 8


def compare_page() -> None:
    """Draw the page."""
    chosen = selection()
    head = page_head("Compare losses", chosen, run=False)
    if not _comparable(chosen):
        return
    result = comparison.compare(
        load_neighbours(chosen.a, chosen.protocol),
        load_neighbours(chosen.b, chosen.protocol),
        chosen.a.items["label"].to_numpy(),
        chosen.k,
    )
    tested = compare_groups(chosen, {"a": [chosen.a], "b": [chosen.b]})
    _verdict(chosen, result, tested)
    parts = {
        "A right, B wrong": lambda: _gallery(chosen, result, "a"),
        "B right, A wrong": lambda: _gallery(chosen, result, "b"),
        "Classes": lambda: _classes(chosen, result),
        "Neighbour overlap": lambda: _overlap(chosen, result),
        "Two maps": lambda: maps_tab(chosen, result),
    }
    address.keep("compared", next(iter(parts)), list(parts))
    tabs = st.tabs(list(parts), key="compared", on_change="rerun")
    for tab, draw in zip(tabs, parts.values(), strict=True):
        if tab.open:
            with tab:
                draw()
    with head:
        export_menu(
            name=f"{file_stem(chosen)}-against-{chosen.b.name}",
            tables={
                "Every query": lambda: _export(chosen, result),
                "Classes": lambda: _class_export(chosen, result),
                "Paired tests": lambda: _pair_export(chosen, tested),
            },
            figures={
                "Win, tie, loss": lambda: _bar(result),
                "Class differences": lambda: _class_figure(chosen, result),
                "Neighbour overlap": lambda: _overlap_figure(result),
            },
        )


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
    if not (chosen.neighbours.first_hit > 0).any():
        st.info("No query has an item of its class in the gallery: there is nothing to compare.")
        return False
    return True


def _bar(result: comparison.Comparison) -> go.Figure:
    return figures.win_tie_loss(result.wins, result.ties, result.losses)


def _verdict(chosen: Selection, result: comparison.Comparison, found: Comparison) -> None:
    n = len(result.table)
    a, b = result.table["a"].mean(), result.table["b"].mean()
    pairs = both_ways(found.pairs).set_index(["a", "b"])
    pair, tested = pairs.loc[("a", "b")], found.pairs.iloc[0]
    real = "may be chance" if pair["verdict"] == "tie" else "significant"
    with st.container(key="verdict"):
        st.markdown(
            f":blue[**A** {plain(chosen.a.name)}] {100 * a:.1f} %{_seed(chosen.a)}  ·  "
            f":orange[**B** {plain(chosen.b.name)}] {100 * b:.1f} %{_seed(chosen.b)}  ·  "
            f"R@1 differs by **{100 * (a - b):+.1f} points** (95% {100 * pair['low']:+.1f} to "
            f"{100 * pair['high']:+.1f}: {real}) over the same {n:,} queries"
        )
    st.plotly_chart(
        _bar(result),
        config=CONFIG | {"displayModeBar": False},
        key="bar",
        alt=f"{result.wins} queries only A answers, {result.losses} only B",
    )
    st.caption(
        f"{found.n_queries:,} queries of {found.n_classes:,} classes. Paired bootstrap over "
        f"classes: p = {tested['p']:.2g}. McNemar's exact test on the queries that differ: p = "
        f"{tested['p_mcnemar']:.2g}; it takes queries of one class for independent."
    )


def _seed(run: Run) -> str:
    seed = seed_of(run)
    return "" if seed is None else f" (seed {seed})"


def _open(choice: dict) -> None:
    jump("retrieval", row=int(choice["row"]), run=choice.get("run"))


def _gallery(chosen: Selection, result: comparison.Comparison, winner: str) -> None:
    part = comparison.only_right(result, winner)
    loser = "B" if winner == "a" else "A"
    st.caption(f"{len(part):,} queries, those that {loser} ranks worst first.")
    rows = page_of(part["row"].to_numpy(), f"only_{winner}", PER_PAGE)
    groups = [query_group(chosen, int(row)) for row in rows]
    image_cards({"groups": groups}, key=f"only_{winner}", on_pick=_open)


def query_group(chosen: Selection, row: int) -> dict:
    """Describe one query with the results of both runs, as a group of cards."""
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
    names = table["label"].map(class_names(chosen.a)).tolist()
    left, right = st.columns([5, 6], gap="large")
    with left:
        event = st.plotly_chart(
            _class_figure(chosen, result),
            config=CONFIG,
            key="class_delta",
            on_select="rerun",
            selection_mode="points",
            alt="Recall@1 under A minus Recall@1 under B, of the classes that differ most",
        )
    points = event["selection"]["points"]
    widest = int(table["delta"].abs().argmax())
    at = int(np.ravel(points[0]["customdata"])[0]) if points else widest
    with right:
        differs = result.table["a"] != result.table["b"]
        part = result.table[(result.table["label"] == int(table["label"][at])) & differs]
        st.markdown(
            f"**{plain(names[at])}**: the runs differ on {len(part):,} queries. Click a class to "
            "see others."
        )
        groups = [query_group(chosen, int(row)) for row in part["row"].head(4)]
        image_cards({"groups": groups}, key="class_images", on_pick=_open)


def _class_figure(chosen: Selection, result: comparison.Comparison) -> go.Figure:
    table = comparison.class_recalls(result)
    names = table["label"].map(class_names(chosen.a)).tolist()
    return figures.class_differences(names, *(table[c].to_numpy() for c in ("a", "b", "n")))


def _overlap(chosen: Selection, result: comparison.Comparison) -> None:
    overlap = result.table["overlap"]
    st.caption(
        f"The top-{chosen.k} lists of the two runs share {100 * overlap.mean():.0f} % of their "
        "items on average, order aside. Below, the queries on which they agree least."
    )
    st.plotly_chart(
        _overlap_figure(result),
        config=CONFIG,
        key="overlap",
        alt=f"How many queries share how much of their top {chosen.k} between the two runs",
    )
    least = result.table.sort_values("overlap", kind="stable")
    rows = page_of(least["row"].to_numpy(), "overlap", PER_PAGE)
    groups = [query_group(chosen, int(row)) for row in rows]
    image_cards({"groups": groups}, key="least_overlap", on_pick=_open)


def _overlap_figure(result: comparison.Comparison) -> go.Figure:
    return figures.overlap_histogram(result.table["overlap"].to_numpy())


def _pair_export(chosen: Selection, tested: Comparison) -> pd.DataFrame:
    names = {"a": chosen.a.name, "b": chosen.b.name}
    return tested.pairs.replace({"a": names, "b": names})


def _class_export(chosen: Selection, result: comparison.Comparison) -> pd.DataFrame:
    table = comparison.class_recalls(result)
    return table.assign(**{"class": table["label"].map(class_names(chosen.a))})


def _export(chosen: Selection, result: comparison.Comparison) -> pd.DataFrame:
    items = chosen.a.items.iloc[result.table["row"].to_numpy()]
    names = items[["path", "label_name"]].reset_index(drop=True)
    return pd.concat([names, result.table.drop(columns="label")], axis=1)
