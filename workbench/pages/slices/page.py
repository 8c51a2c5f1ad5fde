"""Slices: the figures of groups of queries, and those in which two losses differ most."""

import pandas as pd
import streamlit as st

from retrieval.errors import UserError, counted
from retrieval.evaluation.binning import Groups
from retrieval.evaluation.metrics import metric
from retrieval.evaluation.slices import Sliced
from retrieval.report.slices import (
    family_line,
    slice_head,
    slice_rows,
    slices_headline,
    slices_table,
)
from workbench.analysis.comparison import compare_queries, only_right
from workbench.analysis.failures import confident_and_wrong, query_table
from workbench.components.gallery import query_groups
from workbench.data.slices import columns_of, groups_of_column, sliced_losses
from workbench.figures.slices import slice_forest
from workbench.figures.style import CONFIG
from workbench.layout.exports import export_menu
from workbench.layout.run_colors import pair_colors
from workbench.layout.theme import file_stem, page_head, plain
from workbench.pages.compare.queries import query_group
from workbench.pages.shared.cards import clickable_cards
from workbench.pages.shared.named_runs import named_runs
from workbench.pages.shared.paging import page_of
from workbench.pages.shared.sides import Sides, side_of_a, sides_of, why_apart
from workbench.pages.shared.tabs import lazy_tabs
from workbench.session.clicks import Pick, replace_charts, replaceable_key, selected_points
from workbench.session.navigation import jump
from workbench.session.parameters import BINS, BY, SLICE, SLICE_TAB, SLICED
from workbench.session.selection import Selection, selection

PAIR, ALONE = "A against B", "A alone"
PER_PAGE = 6
MOST_BINS = 8
AUTOMATIC = 0  # bins


def slices_page() -> None:
    """Draw the page."""
    chosen = selection()
    head = page_head("Slices", chosen, run=False)
    columns, refused = columns_of(chosen.a, chosen.protocol)
    if not columns:
        _say("No column of the items has values to slice the queries by")
        _refused(refused)
        return
    by, sides, cut, bins = _controls(chosen, columns)
    if isinstance(cut, UserError):
        _say(str(cut))
        return
    groups = dict(zip(_titles(sides), (sides.a, sides.b) if sides.b else (sides.a,), strict=True))
    sliced = sliced_losses(groups, cut, chosen.protocol, chosen.metric, bins)
    if isinstance(sliced, UserError):
        _say(str(sliced))
        return
    table = sliced.by_difference() if sliced.is_pair else sliced.table
    _verdict(chosen, sides, sliced)
    at = _chosen_slice(table, by)
    _forest(chosen, sliced, table, at)
    _table(sliced, table)
    _images(chosen, sides, cut, table, at)
    _refused(refused)
    with head:
        export_menu(
            name=f"{file_stem(chosen)}-by-{by}",
            about=[*sides.a, *sides.b],
            tables={"Slices": lambda: slices_table(sliced)},
            figures={"Slices": lambda: slice_forest(sliced, table, colors=pair_colors(chosen))},
        )


def _say(reason: str) -> None:
    """Say why there are no slices."""
    st.info(f"{plain(reason[:1].upper() + reason[1:])}.", icon=":material/block:")


def _controls(
    chosen: Selection, columns: dict[str, str]
) -> tuple[str, Sides, Groups | UserError, int | None]:
    """Draw the choice of the column, of one loss or two, and of the number of bins."""
    can_compare = chosen.b is not None and chosen.b.name != chosen.a.name
    apart = why_apart(chosen) if can_compare else ""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        by = BY.keep(next(iter(columns)), list(columns))
        st.selectbox(
            "Column",
            list(columns),
            key=BY.key,
            format_func=lambda name: f"{name}: {columns[name]}",
            width=420,
        )
        which = ALONE
        if can_compare and not apart:
            which = SLICED.keep(PAIR, (PAIR, ALONE))
            st.segmented_control("Losses", (PAIR, ALONE), key=SLICED.key, required=True)
        cut = groups_of_column(chosen.a, by, chosen.protocol, None)
        bins = None
        if isinstance(cut, Groups) and cut.binned:
            options = (AUTOMATIC, *range(2, MOST_BINS + 1))
            bins = BINS.keep(AUTOMATIC, options, context=by) or None
            st.selectbox(
                "Slices",
                options,
                key=BINS.key,
                format_func=lambda n: "automatic" if n == AUTOMATIC else str(n),
                width=130,
                help="Quantiles of the classes, or of the queries where those of a class differ. "
                "Automatic: as many, up to 4, as leave enough classes in each for a verdict.",
            )
            if bins is not None:
                cut = groups_of_column(chosen.a, by, chosen.protocol, bins)
    if apart:
        st.caption(f"Run A alone: {plain(apart)}")
    sides = sides_of(chosen) if which == PAIR else side_of_a(chosen)
    return by, sides, cut, bins


def _titles(sides: Sides) -> tuple[str, ...]:
    return sides.titles if sides.b else sides.titles[:1]


def _verdict(chosen: Selection, sides: Sides, sliced: Sliced) -> None:
    names = named_runs(chosen)[: len(sliced.names)]
    marks = "  ·  ".join(
        f'<span style="color:{named.color}">●</span> **{named.letter}** {plain(title)}'
        f"{_seeds(runs)}"
        for named, title, runs in zip(names, sliced.names, (sides.a, sides.b), strict=False)
    )
    said = plain(slices_headline(sliced))
    with st.container(key="verdict"):
        st.markdown(f"{marks}: {said}.", unsafe_allow_html=True)
    facts = (
        f"{metric(sliced.metric).title} of {sliced.n_queries:,} queries of {sliced.n_classes:,} "
        f"classes by {plain(sliced.column)}, {plain(sliced.how)}"
    )
    family = "" if sliced.n_gaps + sliced.n_differences == 0 else family_line(sliced)
    ends = f" 95% intervals: of the figures each alone; {plain(family)}." if family else ""
    st.caption(
        f"{facts}.{ends} Beside a slice, n is the number of queries and c that of classes; a "
        "hollow point has no interval."
    )


def _seeds(runs: list) -> str:
    return f" ({counted(len(runs), 'seed')})" if len(runs) > 1 else ""


def _chosen_slice(table: pd.DataFrame, by: str) -> str:
    """Return the slice whose images are shown; the first one unless another is chosen."""
    names = table["slice"].tolist()
    return str(SLICE.keep(names[0], names, context=by))


def _forest(chosen: Selection, sliced: Sliced, table: pd.DataFrame, at: str) -> None:
    key = replaceable_key("slices")

    def clicked() -> None:
        points = selected_points(key)
        if points and points[0].get("customdata") is not None:
            place = points[0]["customdata"]
            place = place[0] if isinstance(place, list) else place
            SLICE.set(table["slice"].tolist()[int(place)])
        replace_charts()

    st.plotly_chart(
        slice_forest(sliced, table, colors=pair_colors(chosen), chosen=at),
        config=CONFIG,
        key=key,
        on_select=clicked,
        selection_mode="points",
        alt=f"{metric(sliced.metric).long_title} of {len(table)} slices by {sliced.column}, with "
        "95% intervals, and what stands out",
    )


def _table(sliced: Sliced, table: pd.DataFrame) -> None:
    head, rows = slice_head(sliced, with_p=False), slice_rows(sliced, table, with_p=False)
    st.dataframe(pd.DataFrame(rows, columns=head), hide_index=True, key="slice_table")


def _images(chosen: Selection, sides: Sides, cut: Groups, table: pd.DataFrame, at: str) -> None:
    """Draw queries of the chosen slice: wrong under run A, or right under one run only."""
    code = cut.names.index(at)
    rows = chosen.neighbors.queries[cut.codes == code]
    st.markdown("##### Queries of a slice")
    st.selectbox("Slice", table["slice"].tolist(), key=SLICE.key, width=320)
    if not sides.b:
        _failures(chosen, rows)
        return
    a, b = chosen.pair
    result = compare_queries(
        a.neighbors(chosen.protocol),
        b.neighbors(chosen.protocol),
        a.items["label"].to_numpy(),
        chosen.k,
        no_positive=a.result(chosen.protocol).protocol.no_positive,
    )
    only = {winner: only_right(result, winner) for winner in "ab"}
    only = {winner: part[part["row"].isin(rows)] for winner, part in only.items()}
    st.caption(
        f"Of the single runs A, {plain(a.name)}, and B, {plain(b.name)}, at rank 1: of "
        f"{counted(len(rows), 'query', 'queries')}, {len(only['a']):,} are right under A only and "
        f"{len(only['b']):,} under B only. First come those that the other run ranks lowest."
    )
    lazy_tabs(
        SLICE_TAB,
        {
            "A right, B wrong": lambda: _only(chosen, only["a"], "a"),
            "B right, A wrong": lambda: _only(chosen, only["b"], "b"),
        },
    )


def _only(chosen: Selection, part: pd.DataFrame, winner: str) -> None:
    if part.empty:
        st.info(f"No query of this slice is right under {winner.upper()} only.")
        return
    rows = page_of(part["row"].to_numpy(), f"slice_{winner}", PER_PAGE)
    groups = [query_group(chosen, int(row)) for row in rows]
    clickable_cards({"groups": groups}, key=f"slice_{winner}", on_pick=_open)


def _failures(chosen: Selection, rows) -> None:
    table = query_table(chosen.neighbors, chosen.a.items["label"].to_numpy())
    wrong = confident_and_wrong(table[table["row"].isin(rows)])
    if wrong.empty:
        st.info(f"No query of this slice is wrong at rank 1 under {plain(chosen.a.name)}.")
        return
    st.caption(
        f"{len(wrong):,} of {counted(len(rows), 'query', 'queries')} are wrong at rank 1 under "
        f"{plain(chosen.a.name)}. The most confident errors come first."
    )
    shown = page_of(wrong["row"].to_numpy(), "slice_failures", PER_PAGE)
    groups = query_groups(chosen.a, chosen.neighbors, shown, k=chosen.k)
    clickable_cards({"groups": groups}, key="slice_failures", on_pick=_open)


def _open(pick: Pick) -> None:
    jump("retrieval", row=pick.row, run=pick.run)


def _refused(refused: dict[str, str]) -> None:
    """List the columns that cannot be sliced by, with the reasons."""
    if refused:
        title = f"{counted(len(refused), 'column')} not listed"
        with st.expander(title, icon=":material/info:"):
            for reason in refused.values():
                st.text(f"{reason}.")
