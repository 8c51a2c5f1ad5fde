"""Bytes per vector: how well smaller forms of every loss's embedding still rank."""

from functools import partial

import pandas as pd
import streamlit as st

from retrieval.errors import UserError
from retrieval.evaluation.metrics import metric
from retrieval.report.comparing import lack_of_scores
from retrieval.report.compression import (
    LossForms,
    Nested,
    compression_table,
    family_line,
    fit_notes,
    headline,
    nested_family,
    nested_head,
    nested_line,
    nested_pairs,
    nested_rows,
    table_head,
    table_rows,
)
from retrieval.runs.compression import command, why_no_forms
from retrieval.runs.run import Run
from workbench.analysis.naming import group_titles
from workbench.analysis.tables import groups_of, loss_table, results_table
from workbench.data.compression import loss_forms, nested_forms
from workbench.figures.compression import bytes_chart
from workbench.figures.style import CONFIG
from workbench.layout.exports import export_menu
from workbench.layout.run_colors import group_colors
from workbench.layout.theme import file_stem, page_head, plain
from workbench.session.parameters import FORMS_OF
from workbench.session.selection import Selection, selection

ALL, PAIR, ALONE = "All losses", "A and B", "A alone"
CROWDED = 4  # losses; of more, only those of runs A and B are shown at first


def bytes_page() -> None:
    """Draw the page."""
    chosen = selection()
    head = page_head("Bytes per vector", chosen, run=False)
    if reason := why_no_forms(chosen.a, chosen.protocol):
        st.info(f"**{plain(chosen.a.name)}** has {plain(reason)}.")
        return
    groups = _groups(chosen)
    found = {
        title: loss_forms(title, runs, chosen.protocol, chosen.metric)
        for title, runs in groups.items()
    }
    made = {title: each for title, each in found.items() if isinstance(each, LossForms)}
    if not made:
        title = _title(chosen.a, groups)
        _missing(chosen, groups[title], found[title])
        return
    titles = _shown(chosen, groups, made)
    shown = [made[title] for title in titles]
    with st.container(key="verdict"):
        st.markdown(f"**{plain(shown[0].title)}**: {plain(headline(shown[0]))}.")
    colors = group_colors(chosen.runs)
    st.plotly_chart(
        bytes_chart(shown, colors=colors),
        config=CONFIG,
        key="bytes",
        alt=f"{metric(chosen.metric).long_title} against bytes per vector. "
        + " ".join(f"{each.title}: {headline(each)}." for each in shown),
    )
    bars = " Bars: the interval of the cost, around the value."
    has_bars = any(each.has_intervals for each in shown)
    st.caption(_capital(f"{family_line(shown[0])}.{bars if has_bars else ''}"))
    _table(shown)
    beside = _beside(chosen, groups, made, titles)
    pairs = [each for each in beside.values() if isinstance(each, Nested)]
    for number, nested in enumerate(pairs):
        _nested(nested, number)
    st.caption(" ".join(_capital(f"{plain(note)}.") for note in fit_notes(shown[0])))
    _not_made({name: e for name, e in (found | beside).items() if isinstance(e, UserError)})
    with head:
        export_menu(
            name=file_stem(chosen, run=False),
            about=[run for title in titles for run in groups[title]],
            tables={
                "Forms": lambda: compression_table(shown),
                **{f"Widths of {each.nested}": partial(_widths, each) for each in pairs},
            },
            figures={"Bytes per vector": lambda: bytes_chart(shown, colors=colors)},
        )


def _groups(chosen: Selection) -> dict[str, list[Run]]:
    """Return the losses that have embeddings, the best first: title -> its runs."""
    results = results_table(
        chosen.comparable, chosen.protocol, among=chosen.runs, ranked_by=chosen.metric
    )
    table = loss_table(results, chosen.comparable, chosen.protocol, chosen.metric)
    groups = groups_of(table, chosen.comparable)
    return {
        title: runs for title, runs in groups.items() if not why_no_forms(runs[0], chosen.protocol)
    }


def _title(run: Run, groups: dict[str, list[Run]]) -> str:
    """Return the title of the loss of a run; of a run that repeats a seed, that of its loss."""
    return next((title for title, runs in groups.items() if run in runs), next(iter(groups)))


def _missing(chosen: Selection, runs: list[Run], error: LossForms | UserError) -> None:
    """Say why no loss has smaller forms, and the command that evaluates them if it helps."""
    st.info(plain(str(error)), icon=":material/terminal:")
    if not lack_of_scores({chosen.a.name: runs}, chosen.protocol, chosen.metric):
        st.code(command(chosen.a), language="shell")


def _shown(
    chosen: Selection, groups: dict[str, list[Run]], made: dict[str, LossForms]
) -> list[str]:
    """Draw the choice of losses; return their titles, that of run A first if it has forms."""
    titles = group_titles(chosen.runs)
    own = [titles[run.name] for run in (chosen.a, chosen.b) if run is not None]
    own = [title for title in dict.fromkeys(own) if title in made]
    rest = [title for title in made if title not in own]
    options = [ALL, *([PAIR] if len(own) > 1 else []), *([ALONE] if own else [])]
    if len(made) == 1 or not own:
        return [*own, *rest]
    default = ALL if len(made) <= CROWDED else options[1]
    which = FORMS_OF.keep(default, options)
    st.segmented_control("Losses", options, key=FORMS_OF.key, required=True)
    return {ALL: [*own, *rest], PAIR: own, ALONE: own[:1]}[which]


def _table(shown: list[LossForms]) -> None:
    """Draw the forms of the first loss, and of others behind tabs of their own."""
    for place, forms in zip(st.tabs([each.title for each in shown]), shown, strict=True):
        with place:
            st.dataframe(
                pd.DataFrame(
                    table_rows(forms),
                    columns=table_head(forms.metric, intervals=forms.has_intervals),
                ),
                hide_index=True,
                key=f"forms_{forms.title}",
                height="content",
            )


def _beside(
    chosen: Selection,
    groups: dict[str, list[Run]],
    made: dict[str, LossForms],
    titles: list[str],
) -> dict[str, Nested | UserError]:
    """Return the losses that were also trained at several widths, if one of the two is shown."""
    return {
        f"{second} beside {first}": nested_forms(
            groups, first, second, chosen.protocol, chosen.metric
        )
        for first, second in nested_pairs(groups)
        if first in made and second in made and {first, second} & set(titles)
    }


def _nested(nested: Nested, number: int) -> None:
    """Draw the widths of a loss that was trained at several beside those of the plain loss."""
    st.markdown(f"##### {plain(nested.nested)} beside {plain(nested.plain)}")
    st.markdown(_capital(f"{plain(nested_line(nested))}."))
    st.caption(f"{_capital(nested_family(nested))}.")
    st.dataframe(_widths(nested), hide_index=True, key=f"widths_{number}", height="content")


def _widths(nested: Nested) -> pd.DataFrame:
    return pd.DataFrame(
        nested_rows(nested), columns=nested_head(nested.metric, intervals=nested.has_intervals)
    )


def _not_made(lacking: dict[str, UserError]) -> None:
    """List what cannot be shown, with the commands that evaluate it."""
    if lacking:
        with st.expander(f"{len(lacking)} not shown", icon=":material/info:"):
            for title, reason in lacking.items():
                st.markdown(f"**{plain(title)}**: {plain(str(reason))}")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
