"""The sidebar: data set, protocol, metric, runs A and B, K, and the folders that were skipped."""

import streamlit as st

from retrieval.errors import counted
from retrieval.evaluation.metrics import HEADLINE, RECALL, in_order
from retrieval.evaluation.metrics import metric as metric_of
from retrieval.report.comparing import metrics_to_choose
from retrieval.runs.run import Run
from retrieval.runs.store import BrokenRun
from workbench.analysis.metadata import shown_columns, suggested_columns
from workbench.analysis.naming import full_name, loss_of
from workbench.analysis.tables import run_order
from workbench.data.comparable import comparable_groups, protocol_difference
from workbench.data.following import problem_of
from workbench.data.loading import runs_root
from workbench.layout.theme import plain
from workbench.session.parameters import COLUMNS, DATASET, METRIC, PROTOCOL, RUN_A, RUN_B, K
from workbench.session.selection import Selection, first_protocol
from workbench.session.trail import forget_items

KS = (5, 10, 20, 50)
DEFAULT_K = 10
NO_RUN = "none"


def sidebar(runs: list[Run]) -> Selection:
    """Draw the sidebar and return what is chosen in it.

    Args:
        runs: All readable runs, at least one.
    """
    datasets = sorted({run.dataset for run in runs})
    with st.sidebar:
        dataset = DATASET.keep(_newest(runs), datasets)
        st.selectbox("Data set", datasets, key=DATASET.key, on_change=forget_items)
        mine = [run for run in runs if run.dataset == dataset]
        protocol, title = _choose_protocol(mine)
        metric = _choose_metric(mine, protocol)
        scored = [run for run in run_order(mine, protocol, metric) if protocol in run.results]
        groups = comparable_groups(scored, protocol)
        ordered = [run for group in groups for run in group]
        a, b = _choose_runs(groups, protocol)
        k = K.keep(DEFAULT_K, KS)
        st.segmented_control("Results per query, K", KS, key=K.key, required=True)
        columns = _choose_columns(a)
    others = [run for run in mine if run not in ordered]
    return Selection(dataset, [*ordered, *others], a, b, protocol, title, k, metric, columns)


def skipped_folders(broken: list[BrokenRun]) -> None:
    """List the runs that are not evaluated, and the folders that could not be read, and why.

    Args:
        broken: See :func:`workbench.data.loading.load_runs`.
    """
    if problem := problem_of(runs_root()):
        st.sidebar.warning(
            f"What is shown may be old: {plain(problem)}", icon=":material/cloud_off:"
        )
    trained = [run for run in broken if run.is_only_trained]
    others = [run for run in broken if not run.is_only_trained]
    for runs, title, icon in (
        (trained, f"{counted(len(trained), 'run')} not evaluated", "hourglass_empty"),
        (others, f"{counted(len(others), 'folder')} skipped", "warning"),
    ):
        if runs:
            with st.sidebar.expander(title, icon=f":material/{icon}:"):
                for run in runs:
                    st.text(run.reason)


def _choose_runs(groups: list[list[Run]], protocol: str) -> tuple[Run, Run | None]:
    ordered = [run for group in groups for run in group]
    by_name = {run.name: run for run in ordered}
    titles = _titles(groups, protocol)
    a = RUN_A.keep(ordered[0].name, list(by_name))
    order = "The best run comes first"
    order += "." if len(groups) == 1 else " among those that can be compared."
    st.selectbox(
        "Run A",
        list(by_name),
        key=RUN_A.key,
        format_func=titles.__getitem__,
        help=f"The run that every page shows. {order}",
    )
    other = _other_loss(ordered, by_name[a], protocol)
    b = RUN_B.keep(other, [NO_RUN, *by_name])
    st.selectbox(
        "Run B",
        [NO_RUN, *by_name],
        key=RUN_B.key,
        format_func=lambda name: titles.get(name, name),
        help="A second run to compare run A with.",
    )
    return by_name[a], by_name.get(b)


def _titles(groups: list[list[Run]], protocol: str) -> dict[str, str]:
    """Return the name of every run, with what sets it apart from the first group."""
    apart = {
        run: protocol_difference(group[0], groups[0][0], protocol)
        for group in groups
        for run in group
    }
    return {
        run.name: f"{full_name(run)} ({why})" if why else full_name(run)
        for run, why in apart.items()
    }


def _newest(runs: list[Run]) -> str:
    return max(runs, key=lambda run: run.path.stat().st_mtime).dataset


def _choose_protocol(runs: list[Run]) -> tuple[str, str]:
    first, titles = first_protocol(runs)
    name = PROTOCOL.keep(first, list(titles))
    if len(titles) > 1:
        st.segmented_control(
            "Protocol",
            list(titles),
            format_func=titles.__getitem__,
            key=PROTOCOL.key,
            required=True,
            help="Which items are queries, and which gallery they are searched in. Numbers of "
            "different protocols are never mixed.",
        )
    return name, titles[name]


def _choose_metric(runs: list[Run], protocol: str) -> str:
    """Return the metric that every page ranks and compares losses by.

    A link may ask for Recall@K at any K, which the ranks that a run holds suffice for.
    """
    measured = metrics_to_choose(runs, protocol)
    asked = {text for text in (METRIC.get(), METRIC.text_in_url()) if text}
    options = in_order({*measured, *filter(RECALL.fullmatch, asked)})
    name = METRIC.keep(HEADLINE, options)
    if not any(run.knows_relevant(protocol) for run in runs if protocol in run.results):
        return name  # of items without labels, no figure can be known
    st.selectbox(
        "Metric",
        options,
        key=METRIC.key,
        format_func=lambda name: metric_of(name).title,
        help="What losses are ranked and compared by, on every page.",
    )
    return name


def _choose_columns(run: Run) -> tuple[str, ...]:
    """Return the columns of the items, such as the price, that are shown below each image."""
    options = shown_columns(run)
    if not options:
        return ()
    suggested = suggested_columns(run)
    chosen = COLUMNS.keep(suggested, context=(run.dataset, tuple(options)))
    if unknown := [name for name in chosen if name not in options]:
        COLUMNS.not_found()
        COLUMNS.set([name for name in chosen if name not in unknown])
    st.multiselect(
        "Below each image",
        options,
        key=COLUMNS.key,
        placeholder="class only",
        help="Columns of your data that every page shows below an image. The query of *Retrieval* "
        "shows them all.",
    )
    return tuple(COLUMNS.get() or ())


def _other_loss(ordered: list[Run], a: Run, protocol: str) -> str:
    """Return the name of the best run with another loss than run A's.

    Runs that are comparable with run A come first. If no run has another loss, the best other run
    is returned; if there is no other run, ``NO_RUN``.
    """
    others = [run for run in ordered if run.name != a.name]
    others = [run for run in others if not protocol_difference(run, a, protocol)] or others
    for run in others:
        if loss_of(run) != loss_of(a):
            return run.name
    return others[0].name if others else NO_RUN
