"""Compare losses: two runs on the same queries."""

import shlex
from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from retrieval.evaluation.metrics import metric
from retrieval.evaluation.significance import Comparison
from retrieval.report.verdicts import ONE_PAIR, interval_text, p_equals, plan_line, seeds_caveat
from retrieval.runs.run import Run
from workbench import figures
from workbench.analysis import comparison
from workbench.analysis.better_settings import hints
from workbench.analysis.confounds import confounds_line, dimensions_line
from workbench.analysis.naming import class_names, loss_of, seed_of
from workbench.analysis.nearness import nearness_columns
from workbench.data.comparable import protocol_difference
from workbench.figures.style import CONFIG
from workbench.layout.exports import export_menu
from workbench.layout.run_colors import pair_colors
from workbench.layout.theme import file_stem, page_head, plain
from workbench.pages.compare.maps import maps_tab
from workbench.pages.compare.queries import (
    class_figure,
    classes_tab,
    gallery_tab,
    overlap_figure,
    overlap_tab,
)
from workbench.pages.shared.named_runs import named_runs
from workbench.pages.shared.significance import compare_groups
from workbench.pages.shared.tabs import lazy_tabs
from workbench.session.parameters import COMPARED
from workbench.session.selection import Selection, selection

OTHER_LOSSES = ("multi_similarity", "contrastive_loss")  # to propose


def compare_page() -> None:
    """Draw the page."""
    chosen = selection()
    head = page_head("Compare losses", chosen, run=False)
    if not _can_compare(chosen):
        return
    a, b = chosen.pair
    tested = compare_groups(chosen, {"a": [a], "b": [b]})
    if tested is None:
        st.info("No query has a relevant item in the gallery, so there is nothing to compare.")
        return
    result = comparison.compare_queries(
        a.neighbors(chosen.protocol),
        b.neighbors(chosen.protocol),
        a.items["label"].to_numpy(),
        chosen.k,
        no_positive=a.result(chosen.protocol).protocol.no_positive,
    )
    _verdict(chosen, result, tested)
    lazy_tabs(
        COMPARED,
        {
            "A right, B wrong": lambda: gallery_tab(chosen, result, "a"),
            "B right, A wrong": lambda: gallery_tab(chosen, result, "b"),
            "Classes": lambda: classes_tab(chosen, result),
            "Neighbor overlap": lambda: overlap_tab(chosen, result),
            "Two maps": lambda: maps_tab(chosen, result),
        },
    )
    with head:
        _exports(chosen, result, tested)


def _can_compare(chosen: Selection) -> bool:
    """Tell whether runs A and B can be compared query by query; if not, say why."""
    a, b = chosen.a, chosen.b
    if b is None or b.name == a.name:
        _ask_for_b(chosen)
        return False
    if chosen.protocol not in b.results:
        st.warning(plain(f"{b.name} was not evaluated under {chosen.protocol_title}."))
        return False
    difference = comparison.difference_of_items(a, b)
    if difference:
        st.warning(plain(f"These runs cannot be compared query by query: {difference}."))
        return False
    apart = protocol_difference(b, a, chosen.protocol)
    if apart:
        st.warning(
            plain(
                f"These runs cannot be compared: {b.name} was scored under another protocol than "
                f"{a.name}: {apart}."
            )
        )
        return False
    return True


def _ask_for_b(chosen: Selection) -> None:
    """Say what is missing for a comparison, and how to get it."""
    if len(chosen.scored) > 1:
        st.info("Choose another run as run B in the sidebar.", icon=":material/compare_arrows:")
        return
    st.info(
        plain(
            f"A comparison takes two runs on the same items, and {chosen.a.name} is the only run "
            f"of {chosen.dataset} under {chosen.protocol_title}."
        ),
        icon=":material/compare_arrows:",
    )
    root = shlex.quote(str(chosen.a.path.parents[1]))
    settings = chosen.a.settings
    dataset = chosen.dataset if settings is None else settings.dataset
    into = f"--dataset {shlex.quote(dataset)} --runs {root}"
    if settings is None:
        st.markdown("Import other embeddings of the same items:")
        command = f"retrieval import --embeddings OTHER.npy --items ITEMS.csv {into}"
    else:
        st.markdown("Train another loss on the same data:")
        loss = next(name for name in OTHER_LOSSES if name != settings.loss)
        options = f" --data {shlex.quote(str(settings.data))}" if settings.data else ""
        for name, value in settings.dataset_options.items():
            options += f" --dataset-option {shlex.quote(f'{name}={value}')}"
        options += " --skip-unreadable" if settings.skip_unreadable else ""
        options += " --freeze-backbone" if settings.freeze_backbone else ""
        command = f"retrieval train --loss {loss}{options} {into}"
    st.code(command, language="bash", wrap_lines=True)


def _exports(chosen: Selection, result: comparison.QueryComparison, tested: Comparison) -> None:
    a, b = chosen.pair
    export_menu(
        name=f"{file_stem(chosen)}-against-{b.name}",
        about=[a, b],
        tables={
            "Every query": lambda: _query_export(chosen, result),
            "Classes": lambda: _class_export(chosen, result),
            "Paired tests": lambda: _pair_export(chosen, tested),
        },
        figures={
            "Win, tie, loss": lambda: _bar(chosen, result, tested),
            "Class differences": lambda: class_figure(chosen, result),
            "Neighbor overlap": lambda: overlap_figure(result),
        },
    )


def _bar(chosen: Selection, result: comparison.QueryComparison, tested: Comparison) -> go.Figure:
    counts = result.wins, result.ties, result.losses
    pair = _pair(tested)
    interval = pair["difference"], pair["low"], pair["high"]
    return figures.win_tie_loss(*counts, pair_colors(chosen), interval)


def _pair(tested: Comparison) -> pd.Series:
    """Return the comparison of run A with run B."""
    return tested.pair("a", "b")


def _verdict(chosen: Selection, result: comparison.QueryComparison, tested: Comparison) -> None:
    a, b = chosen.pair
    pair, recall = _pair(tested), metric("recall@1")
    difference = recall.format_difference(pair["difference"])
    span = interval_text(recall, pair["low"], pair["high"])
    with st.container(key="verdict"):
        st.markdown(
            f"{_scores(chosen, result)}  ·  R@1 differs by **{difference} points** over the same "
            f"{len(result.table):,} queries ({span}): "
            f"{_significance(result, pair, chosen.pair)}.",
            unsafe_allow_html=True,
        )
    line = confounds_line({a.name: [a], b.name: [b]})
    line = line if loss_of(a) != loss_of(b) else ""
    for note in filter(None, (line, dimensions_line({a.name: [a], b.name: [b]}))):
        st.markdown(f":small[:orange[⚠ {plain(note)}]]")
    for note in hints((a, b)):
        st.caption(f":material/lightbulb: {plain(note)}.")
    st.plotly_chart(
        _bar(chosen, result, tested),
        config=CONFIG | {"displayModeBar": False},
        key="bar",
        alt=f"{result.wins} queries are right under A only, {result.losses} under B only; R@1 "
        f"differs by {difference} points, {span}",
    )
    counts = f"{tested.n_queries:,} queries of {tested.n_classes:,} classes"
    mcnemar = (
        f"McNemar's exact test on the queries that differ: {p_equals(pair['p_mcnemar'])}; this "
        "test treats queries of one class as independent."
    )
    if tested.no_claim:
        st.caption(plain(f"{counts}: {tested.no_claim}. {mcnemar}"))
        return
    line = plan_line(tested.plan("a", "b"), recall)
    st.caption(
        f"{counts}. Paired bootstrap over classes: {p_equals(pair['p'])} ({ONE_PAIR}). {mcnemar} "
        f"{line[0].upper()}{line[1:]}."
    )


def _scores(chosen: Selection, result: comparison.QueryComparison) -> str:
    """Return the R@1 of both runs as HTML and Markdown."""
    recall = metric("recall@1")
    return "  ·  ".join(
        f'<span style="color:{named.color}">●</span> **{named.letter}** {plain(named.run.name)} '
        f"{recall.format_with_unit(result.table[column].mean())}{_seed(named.run)}"
        for column, named in zip("ab", named_runs(chosen), strict=True)
    )


def _significance(result: comparison.QueryComparison, pair: pd.Series, runs: Sequence[Run]) -> str:
    if not result.wins + result.losses:
        return "no query differs"
    if pd.isna(pair["low"]):
        return "too few classes for a verdict"
    if not pair["significant"]:
        return "the difference may be due to chance"
    return f"significant{seeds_caveat([int(seed_of(run) is not None) for run in runs])}"


def _seed(run: Run) -> str:
    seed = seed_of(run)
    return "" if seed is None else f" (seed {seed})"


def _pair_export(chosen: Selection, tested: Comparison) -> pd.DataFrame:
    a, b = chosen.pair
    names = {"a": a.name, "b": b.name}
    return tested.pairs.replace({"a": names, "b": names})


def _class_export(chosen: Selection, result: comparison.QueryComparison) -> pd.DataFrame:
    table = comparison.class_recalls(result)
    return table.assign(**{"class": table["label"].map(class_names(chosen.a))})


def _query_export(chosen: Selection, result: comparison.QueryComparison) -> pd.DataFrame:
    items = chosen.a.items.iloc[result.table["row"].to_numpy()]
    names = items[["path", "label_name"]].reset_index(drop=True)
    measured = [
        nearness_columns(run, result.table[f"similarity_{side}"], f"_{side}")
        for side, run in zip("ab", chosen.pair, strict=True)
    ]
    rest = result.table.drop(columns=["label", "similarity_a", "similarity_b"])
    return pd.concat([names, rest, *measured], axis=1)
