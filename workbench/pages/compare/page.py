"""Compare losses: all seeds of two losses on the same queries, then two runs query by query."""

import shlex
from collections.abc import Callable

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from retrieval.evaluation.metrics import HEADLINE, has_scores, metric
from retrieval.evaluation.significance import Comparison
from retrieval.report.verdicts import (
    ONE_PAIR,
    interval_text,
    p_equals,
    plan_line,
    points,
    seeds_caveat,
)
from retrieval.runs.run import Run
from workbench import figures
from workbench.analysis import comparison
from workbench.analysis.better_settings import hints
from workbench.analysis.confounds import confounds_line, dimensions_line
from workbench.analysis.naming import class_names, loss_of, seed_of
from workbench.analysis.nearness import nearness_columns
from workbench.figures.style import CONFIG
from workbench.layout.exports import export_menu
from workbench.layout.run_colors import pair_colors
from workbench.layout.theme import file_stem, page_head, plain
from workbench.pages.compare.maps import maps_tab
from workbench.pages.compare.queries import (
    class_figure,
    class_scores,
    classes_tab,
    gallery_tab,
    overlap_figure,
    overlap_tab,
)
from workbench.pages.shared.named_runs import named_runs
from workbench.pages.shared.sides import Sides, sides_of, why_apart
from workbench.pages.shared.significance import compare_groups
from workbench.pages.shared.tabs import lazy_tabs
from workbench.session.parameters import COMPARED
from workbench.session.selection import Selection, selection

NO_FIGURES = (
    "These runs have no labels: what is relevant is unknown, so there are no figures to compare. "
    "Below is how far their neighbors agree."
)
OTHER_LOSSES = ("multi_similarity", "contrastive_loss")  # to propose


def compare_page() -> None:
    """Draw the page."""
    chosen = selection()
    head = page_head("Compare losses", chosen, run=False)
    if not _can_compare(chosen):
        return
    a, b = chosen.pair
    protocol, known = a.result(chosen.protocol).protocol, a.knows_relevant(chosen.protocol)
    result = comparison.compare_queries(
        a.neighbors(chosen.protocol),
        b.neighbors(chosen.protocol),
        a.items["label"].to_numpy(),
        chosen.k,
        no_positive=protocol.no_positive if known else "zero",  # without labels, every query
    )
    of_neighbors: dict[str, Callable[[], None]] = {
        "Neighbor overlap": lambda: overlap_tab(chosen, result),
        "Two maps": lambda: maps_tab(chosen, result),
    }
    if not known:
        st.info(NO_FIGURES)
        lazy_tabs(COMPARED, of_neighbors)
        with head:
            _overlap_exports(chosen, result)
        return
    sides = sides_of(chosen)
    tested = compare_groups(chosen, sides.groups)
    if tested is None:
        st.info("No query has a relevant item in the gallery, so there is nothing to compare.")
        return
    _verdict(chosen, sides, tested)
    _single_runs(chosen, sides, tested)
    of_answers: dict[str, Callable[[], None]] = {
        "A right, B wrong": lambda: gallery_tab(chosen, result, "a"),
        "B right, A wrong": lambda: gallery_tab(chosen, result, "b"),
        "Classes": lambda: classes_tab(chosen, result, sides.pair),
    }
    lazy_tabs(COMPARED, of_answers | of_neighbors)
    with head:
        _exports(chosen, result, sides, tested)


def _can_compare(chosen: Selection) -> bool:
    """Tell whether runs A and B can be compared query by query; if not, say why."""
    a, b = chosen.a, chosen.b
    if b is None or b.name == a.name:
        _ask_for_b(chosen)
        return False
    if reason := why_apart(chosen):
        st.warning(plain(reason))
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


def _exports(
    chosen: Selection, result: comparison.QueryComparison, sides: Sides, tested: Comparison
) -> None:
    _, b = chosen.pair
    tables: dict[str, Callable[[], pd.DataFrame]] = {
        "Every query": lambda: _query_export(chosen, result),
        "Paired tests": lambda: _pair_export(sides, tested),
    }
    drawn: dict[str, Callable[[], go.Figure]] = {"Neighbor overlap": lambda: overlap_figure(result)}
    if not tested.reason:  # every query has a score under the metric
        tables["Classes"] = lambda: _class_export(chosen, sides)
        drawn["Win, tie, loss"] = lambda: _bar(chosen, sides, tested)
        drawn["Class differences"] = lambda: class_figure(chosen, sides.pair)
    export_menu(
        name=f"{file_stem(chosen)}-against-{b.name}",
        about=[*sides.a, *sides.b],
        tables=tables,
        figures=drawn,
    )


def _overlap_exports(chosen: Selection, result: comparison.QueryComparison) -> None:
    """Draw the menu of what can be said of runs without labels."""
    unknown = ["a", "b", "rank_a", "rank_b"]
    export_menu(
        name=f"{file_stem(chosen)}-against-{chosen.pair[1].name}",
        about=chosen.pair,
        tables={"Every query": lambda: _query_export(chosen, result).drop(columns=unknown)},
        figures={"Neighbor overlap": lambda: overlap_figure(result)},
    )


def _bar(chosen: Selection, sides: Sides, tested: Comparison) -> go.Figure:
    pair = tested.pair(*sides.names)
    return figures.win_tie_loss(
        int(pair["wins"]),
        int(pair["ties"]),
        int(pair["losses"]),
        pair_colors(chosen),
        (pair["difference"], pair["low"], pair["high"]),
        tested.metric,
        averaged=sides.averaged,
    )


def _verdict(chosen: Selection, sides: Sides, tested: Comparison) -> None:
    pair, shown = tested.pair(*sides.names), metric(tested.metric)
    known = pd.notna(pair["difference"])
    difference = f"{shown.format_difference(pair['difference'])}{points(shown) if known else ''}"
    span = interval_text(shown, pair["low"], pair["high"])
    evidence = f" over the same {tested.n_queries:,} queries"
    if tested.reason:  # NMI is over all items, not over queries
        evidence = evidence if has_scores(tested.metric) else ""
    else:
        evidence += f" ({span})"
    with st.container(key="verdict"):
        st.markdown(
            f"{_scores(chosen, sides, tested)}  ·  {shown.title} differs by "
            f"**{difference}**{evidence}: {_significance(sides, tested, pair)}.",
            unsafe_allow_html=True,
        )
    named = dict(zip(sides.titles, sides.pair, strict=True))
    line = "" if loss_of(sides.a[0]) == loss_of(sides.b[0]) else confounds_line(named)
    for note in filter(None, (line, dimensions_line(named))):
        st.markdown(f":small[:orange[⚠ {plain(note)}]]")
    for note in hints((*sides.a, *sides.b)):
        st.caption(f":material/lightbulb: {plain(note)}.")
    if tested.reason:
        return
    st.plotly_chart(
        _bar(chosen, sides, tested),
        config=CONFIG | {"displayModeBar": False},
        key="bar",
        alt=f"A scores {pair['wins']} queries higher than B, and B {pair['losses']} higher than A; "
        f"{shown.title} differs by {difference}, {span}",
    )
    counts = tested.queries
    if tested.no_claim:
        st.caption(plain(f"{counts}: {tested.no_claim}. {_mcnemar(pair, tested)}"))
        return
    line = plan_line(tested.plan(*sides.names), shown, tested.unit)
    how = f"Paired bootstrap over {'queries' if tested.unit == 'query' else 'classes'}"
    how += " and seeds" if sides.averaged else ""
    st.caption(
        f"{counts}. {how}: {p_equals(pair['p'])} ({ONE_PAIR}). {_mcnemar(pair, tested)}"
        f"{line[0].upper()}{line[1:]}."
    )


def _mcnemar(pair: pd.Series, tested: Comparison) -> str:
    """Return the sentence on McNemar's test, with a space after it; empty if it does not apply."""
    if pd.isna(pair["p_mcnemar"]):
        return ""
    said = f"McNemar's exact test on the queries that differ: {p_equals(pair['p_mcnemar'])}"
    if tested.unit == "class":
        said += "; this test treats queries of one class as independent"
    return f"{said}. "


def _single_runs(chosen: Selection, sides: Sides, tested: Comparison) -> None:
    """Say that what follows is of two single runs, and what it shows of each query."""
    a, b = (f"{plain(run.name)}{_seeds([run])}" for run in chosen.pair)
    parts = [f"Below: the single runs A, {a}, and B, {b}, query by query"]
    if sides.averaged:
        parts.append("another seed gives other queries")
    parts.append("right and wrong are those of the nearest item, at rank 1")
    by_class = tested.unit == "class" and not tested.reason
    if by_class and (chosen.metric != HEADLINE or sides.averaged):
        title = metric(chosen.metric).title
        parts.append(f"classes are compared by {title}, all seeds of both losses together")
    st.caption(f"{'; '.join(parts)}.")


def _scores(chosen: Selection, sides: Sides, tested: Comparison) -> str:
    """Return the values of both sides as HTML and Markdown."""
    shown, means = metric(tested.metric), tested.summary.set_index("name")["mean"]
    return "  ·  ".join(
        f'<span style="color:{named.color}">●</span> **{named.letter}** {plain(title)} '
        f"{shown.format_with_unit(means[side])}{_seeds(runs)}"
        for side, named, title, runs in zip(
            sides.names, named_runs(chosen), sides.titles, sides.pair, strict=True
        )
    )


def _significance(sides: Sides, tested: Comparison, pair: pd.Series) -> str:
    if tested.reason:
        return plain(tested.reason)
    if not pair["wins"] + pair["losses"]:
        return "no query differs"
    if pd.isna(pair["low"]):
        return "too few classes for a verdict"
    if not pair["significant"]:
        return "the difference may be due to chance"
    return f"significant{seeds_caveat([len(_seeds_of(runs)) for runs in sides.pair])}"


def _seeds_of(runs: list[Run]) -> list[int]:
    return sorted(seed for run in runs if (seed := seed_of(run)) is not None)


def _seeds(runs: list[Run]) -> str:
    """Name the seeds of runs in parentheses, with a space before; empty for imports."""
    seeds = _seeds_of(runs)
    if not seeds:
        return ""
    return f" ({'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))})"


def _pair_export(sides: Sides, tested: Comparison) -> pd.DataFrame:
    row = tested.pair(*sides.names).to_frame().T.infer_objects()
    for place, (side, title) in enumerate(zip("ab", sides.titles, strict=True)):
        row.insert(place, side, title)
    runs = ["; ".join(run.name for run in each) for each in sides.pair]
    return row.assign(**{"metric": tested.metric, "runs a": runs[0], "runs b": runs[1]})


def _class_export(chosen: Selection, sides: Sides) -> pd.DataFrame:
    table = class_scores(chosen, sides.pair)
    return table.assign(
        **{"metric": chosen.metric, "class": table["label"].map(class_names(chosen.a))}
    )


def _query_export(chosen: Selection, result: comparison.QueryComparison) -> pd.DataFrame:
    items = chosen.a.items.iloc[result.table["row"].to_numpy()]
    names = items[["path", "label_name"]].reset_index(drop=True)
    measured = [
        nearness_columns(run, result.table[f"similarity_{side}"], f"_{side}")
        for side, run in zip("ab", chosen.pair, strict=True)
    ]
    rest = result.table.drop(columns=["label", "similarity_a", "similarity_b"])
    return pd.concat([names, rest, *measured], axis=1)
