"""Compare losses: two runs on the same queries."""

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from retrieval.evaluation.metrics import metric
from retrieval.evaluation.significance import Comparison
from retrieval.runs.run import Run
from workbench import figures
from workbench.analysis import comparison
from workbench.analysis.confounds import confounds_line
from workbench.analysis.naming import loss_of, seed_of
from workbench.analysis.significance import both_ways
from workbench.data.comparable import setting_apart
from workbench.data.loading import load_neighbors, protocols_of
from workbench.figures.style import CONFIG
from workbench.layout.exports import export_menu
from workbench.layout.run_colors import pair_colors
from workbench.layout.theme import class_names, file_stem, page_head, plain
from workbench.pages.compare.maps import maps_tab
from workbench.pages.compare.queries import (
    class_figure,
    classes_tab,
    gallery_tab,
    overlap_figure,
    overlap_tab,
)
from workbench.pages.overview.evidence import compare_groups, one_seed
from workbench.session.parameters import COMPARED
from workbench.session.selection import Selection, selection


def compare_page() -> None:
    """Draw the page."""
    chosen = selection()
    head = page_head("Compare losses", chosen, run=False)
    if not _comparable(chosen):
        return
    result = comparison.compare(
        load_neighbors(chosen.a, chosen.protocol),
        load_neighbors(chosen.b, chosen.protocol),
        chosen.a.items["label"].to_numpy(),
        chosen.k,
        no_positive=chosen.a.result(chosen.protocol).protocol.no_positive,
    )
    tested = compare_groups(chosen, {"a": [chosen.a], "b": [chosen.b]})
    _verdict(chosen, result, tested)
    _tabs(chosen, result)
    with head:
        _exports(chosen, result, tested)


def _tabs(chosen: Selection, result: comparison.Comparison) -> None:
    parts = {
        "A right, B wrong": lambda: gallery_tab(chosen, result, "a"),
        "B right, A wrong": lambda: gallery_tab(chosen, result, "b"),
        "Classes": lambda: classes_tab(chosen, result),
        "Neighbor overlap": lambda: overlap_tab(chosen, result),
        "Two maps": lambda: maps_tab(chosen, result),
    }
    COMPARED.keep(next(iter(parts)), list(parts))
    tabs = st.tabs(list(parts), key=COMPARED.key, on_change="rerun")
    for tab, draw in zip(tabs, parts.values(), strict=True):
        if tab.open:
            with tab:
                draw()


def _exports(chosen: Selection, result: comparison.Comparison, tested: Comparison) -> None:
    export_menu(
        name=f"{file_stem(chosen)}-against-{chosen.b.name}",
        about=[chosen.a, chosen.b],
        tables={
            "Every query": lambda: _export(chosen, result),
            "Classes": lambda: _class_export(chosen, result),
            "Paired tests": lambda: _pair_export(chosen, tested),
        },
        figures={
            "Win, tie, loss": lambda: _bar(chosen, result, tested),
            "Class differences": lambda: class_figure(chosen, result),
            "Neighbor overlap": lambda: overlap_figure(result),
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
    apart = setting_apart(chosen.b, chosen.a, chosen.protocol)
    if apart:
        st.warning(
            f"These runs cannot be compared: {plain(chosen.b.name)} was scored under another "
            f"protocol than {plain(chosen.a.name)}: {plain(apart)}."
        )
        return False
    if not (chosen.neighbors.first_hit > 0).any():
        st.info("No query has an item of its class in the gallery: there is nothing to compare.")
        return False
    return True


def _bar(chosen: Selection, result: comparison.Comparison, found: Comparison) -> go.Figure:
    counts = result.wins, result.ties, result.losses
    pair = _pair(found)
    interval = pair["delta"], pair["low"], pair["high"]
    return figures.win_tie_loss(*counts, pair_colors(chosen), interval)


def _pair(found: Comparison) -> pd.Series:
    """Return the comparison of run A with run B."""
    return both_ways(found.pairs).set_index(["a", "b"]).loc[("a", "b")]


def _verdict(chosen: Selection, result: comparison.Comparison, found: Comparison) -> None:
    n = len(result.table)
    a, b = result.table["a"].mean(), result.table["b"].mean()
    pair, tested = _pair(found), found.pairs.iloc[0]
    real = "may be chance" if pair["verdict"] == "tie" else "significant" + one_seed([1, 1])
    if not result.wins + result.losses:
        real = "no query differs"
    recall = metric("recall@1")
    low, high = (recall.format_difference(pair[side]) for side in ("low", "high"))
    dot_a, dot_b = (f'<span style="color:{c}">●</span>' for c in pair_colors(chosen))
    with st.container(key="verdict"):
        st.markdown(
            f"{dot_a} **A** {plain(chosen.a.name)} {recall.format(a)} %{_seed(chosen.a)}  ·  "
            f"{dot_b} **B** {plain(chosen.b.name)} {recall.format(b)} %{_seed(chosen.b)}  ·  "
            f"R@1 differs by **{recall.format_difference(a - b)} points** (95% {low} to {high}: "
            f"{real}) over the same {n:,} queries",
            unsafe_allow_html=True,
        )
    line = confounds_line({chosen.a.name: [chosen.a], chosen.b.name: [chosen.b]})
    if line and loss_of(chosen.a) != loss_of(chosen.b):
        st.markdown(f":small[:orange[⚠ {plain(line)}]]")
    st.plotly_chart(
        _bar(chosen, result, found),
        config=CONFIG | {"displayModeBar": False},
        key="bar",
        alt=f"{result.wins} queries only A answers, {result.losses} only B; R@1 differs by "
        f"{low} to {high} points",
    )
    st.caption(
        f"{found.n_queries:,} queries of {found.n_classes:,} classes. Paired bootstrap over "
        f"classes: p {_p(tested['p'])}. McNemar's exact test on the queries that differ: p "
        f"{_p(tested['p_mcnemar'])}; it takes queries of one class for independent."
    )


def _p(value: float) -> str:
    return f"= {value:.2g}" if value >= 1e-12 else "< 1e\\-12"  # the sign is escaped for Markdown


def _seed(run: Run) -> str:
    seed = seed_of(run)
    return "" if seed is None else f" (seed {seed})"


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
