"""Tuning: every loss searched with the same budget, and what that changes on the test split."""

import pandas as pd
import streamlit as st

from retrieval.errors import UserError, counted
from retrieval.evaluation.metrics import metric
from retrieval.report.tuning import (
    SEARCH_HEAD,
    TunedLosses,
    budget_line,
    conclusions,
    effects_family,
    folds_line,
    outcome_head,
    outcome_rows,
    point_text,
    search_rows,
    tuning_table,
)
from retrieval.runs.tuning import Tuning
from workbench.data.tuning import losses_tested, tunings_of
from workbench.figures.colors import colors_of
from workbench.figures.style import CONFIG
from workbench.figures.tuning import best_so_far, validation_and_test
from workbench.layout.exports import export_menu
from workbench.layout.theme import file_stem, page_head, plain
from workbench.session.parameters import TUNING
from workbench.session.selection import Selection, selection

NOTHING = (
    "No loss has been tuned on this data set. `retrieval tune` gives every loss the same number of "
    "trials on folds of the training classes, trains what was chosen, and tests it once:"
)


def tuning_page() -> None:
    """Draw the page."""
    chosen = selection()
    head = page_head("Tuning", chosen, run=False)
    found = tunings_of(chosen.dataset)
    if not found:
        st.info(NOTHING, icon=":material/terminal:")
        st.code(f"retrieval tune --losses baseline --dataset {chosen.dataset}", language="shell")
        return
    name = _chosen_name(list(found))
    tuning = found[name]
    if isinstance(tuning, UserError):
        st.error(plain(str(tuning)))
        return
    tested = _tested(chosen, tuning)
    _conclusions(tuning, tested)
    _search(tuning)
    if isinstance(tested, TunedLosses):
        _test(chosen, tested)
    _folds(tuning)
    _trials(tuning)
    with head:
        _exports(chosen, tuning, tested)


def _chosen_name(names: list[str]) -> str:
    """Draw the choice of a tuning if there are several; return its name."""
    if len(names) == 1:
        return names[0]
    TUNING.keep(names[0], names)
    return str(st.selectbox("Tuning", names, key=TUNING.key, format_func=plain))


def _tested(chosen: Selection, tuning: Tuning) -> TunedLosses | UserError | None:
    """Return the losses on the test split; None before they are trained."""
    if not tuning.finished:
        return None
    runs = {run.name: run for run in chosen.runs if chosen.protocol in run.results}
    return losses_tested(tuning, runs, chosen.protocol, chosen.metric)


def _conclusions(tuning: Tuning, tested: TunedLosses | UserError | None) -> None:
    with st.container(key="verdict"):
        if isinstance(tested, TunedLosses):
            first, *rest = conclusions(tested)
            st.markdown(f"**{plain(first)}**")
            for line in rest:
                st.markdown(plain(line))
        elif isinstance(tested, UserError):
            st.warning(plain(str(tested)))
        else:
            made = sum(map(len, tuning.trials.values()))
            total = tuning.budget.trials * len(tuning.losses)
            st.info(
                f"Not finished: {made:,} of {counted(total, 'trial')} are made. The same command "
                "goes on."
            )
    st.caption(plain(f"The budget of {budget_line(tuning)}; {folds_line(tuning)}."))


def _search(tuning: Tuning) -> None:
    st.markdown("##### What each loss found for its steps")
    title = metric(tuning.metric).long_title
    best = {loss: tuning.best(loss) for loss in tuning.losses}
    said = [
        f"{loss}: {metric(tuning.metric).format(trial.result.value)}"
        for loss, trial in best.items()
        if trial is not None
    ]
    st.plotly_chart(
        best_so_far(tuning, colors=colors_of(tuning.losses)),
        config=CONFIG,
        key="best_so_far",
        alt=f"Best {title} on the folds against training steps, a line per loss. "
        f"At the end, {', '.join(said) or 'none'}.",
    )
    st.dataframe(
        pd.DataFrame(search_rows(tuning), columns=list(SEARCH_HEAD)),
        hide_index=True,
        key="search_table",
        height="content",
    )


def _test(chosen: Selection, tested: TunedLosses) -> None:
    st.markdown("##### Validation against test")
    found = metric(tested.metric)
    rows = outcome_rows(tested)
    st.plotly_chart(
        validation_and_test(tested, colors=colors_of(tested.tuning.losses)),
        config=CONFIG,
        key="validation_and_test",
        alt=f"{found.long_title} on the test split against validation, tuned and recommended. "
        + " ".join(f"{row[0]}: {row[1]} recommended, {row[2]} tuned." for row in rows),
    )
    st.caption(
        "A dotted line leads from the recommended to the chosen settings of a loss. Bars: 95% "
        f"interval of the test. Differences are {effects_family(tested)}."
    )
    st.dataframe(
        pd.DataFrame(rows, columns=outcome_head(tested.metric)),
        hide_index=True,
        key="test_table",
        height="content",
    )


def _folds(tuning: Tuning) -> None:
    with st.expander(f"{len(tuning.folds)} folds", icon=":material/splitscreen:"):
        for number, fold in enumerate(tuning.folds, start=1):
            classes = counted(len(fold.labels), "class", "classes")
            st.markdown(f"**{number}**: {classes}, {counted(fold.items, 'image')}")
            st.caption(plain(", ".join(fold.names)))


def _trials(tuning: Tuning) -> None:
    made = sum(map(len, tuning.trials.values()))
    with st.expander(f"All {counted(made, 'trial')}", icon=":material/list:"):
        st.dataframe(_all_trials(tuning), hide_index=True, key="all_trials")


def _all_trials(tuning: Tuning) -> pd.DataFrame:
    """Return one row per trial."""
    found = metric(tuning.metric)
    rows = [
        {
            "Loss": loss,
            "Trial": trial.number,
            "State": trial.result.state,
            found.title: found.format(trial.result.value),
            "Folds": ", ".join(found.format(value) for value in trial.result.fold_values),
            "Steps": trial.result.steps,
            "Seconds": round(trial.result.seconds, 1),
            "Settings": point_text(trial.point),
        }
        for loss in tuning.losses
        for trial in tuning.trials.get(loss, ())
    ]
    return pd.DataFrame(rows)


def _exports(chosen: Selection, tuning: Tuning, tested: TunedLosses | UserError | None) -> None:
    colors = colors_of(tuning.losses)
    tables = {"All trials": lambda: _all_trials(tuning)}
    figures = {"Search": lambda: best_so_far(tuning, colors=colors)}
    if isinstance(tested, TunedLosses):
        tables["Tuned losses"] = lambda: tuning_table(tested)
        figures["Validation and test"] = lambda: validation_and_test(tested, colors=colors)
    export_menu(
        name=file_stem(chosen, run=False),
        about=[run for run in chosen.runs if run.name in tuning.run_names],
        tables=tables,
        figures=figures,
        unscored=("All trials", "Search"),
    )
