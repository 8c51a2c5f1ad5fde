"""Methods and data: how every number was made, from what, by which run."""

from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from retrieval.evaluation.metrics import METRICS
from retrieval.runs.run import Run
from workbench import figures
from workbench.analysis.protocol import facts_in_words, lacks_nmi_interval
from workbench.analysis.tables import results_table
from workbench.components.gallery import card
from workbench.figures.style import CONFIG
from workbench.layout.exports import export_menu
from workbench.layout.theme import file_stem, page_head, plain
from workbench.pages.methods.provenance import runs_tab
from workbench.pages.overview.loss_tables import NO_NMI_INTERVAL
from workbench.pages.shared.cards import clickable_cards
from workbench.session.navigation import open_query
from workbench.session.parameters import METHODS
from workbench.session.selection import Selection, selection

DEFINITIONS = {  # of metrics, see ``METRICS``
    "95% interval": "Bootstrap over classes: whole classes are drawn with replacement, because "
    "queries of one class are not independent.",
    "Significance": "Paired bootstrap over classes: every run sees the same resamples. A p-value "
    "is twice the share of resamples on the far side of zero; where there is none, the tail of "
    "Student's t on the bootstrap's standard error. p-values of several pairs are corrected by "
    "Holm's method. McNemar's exact test is given for two runs.",
    "Rank of the first hit": "Position of the nearest item of the query's class in the whole "
    "gallery, not only in the part that is stored.",
    "Hubness": "In how many top-10 lists an item is (Radovanovic 2010). An orphan is in none.",
    "Honesty of the map": "Share of an item's 10 nearest items in the original space that are "
    "among its 10 nearest on the map.",
}
CLASSES, PER_CLASS = 12, 6


def methods_page() -> None:
    """Draw the page."""
    chosen = selection()
    head = page_head("Methods and data", chosen, run=False)
    with head:
        export_menu(
            name=file_stem(chosen),
            about=[chosen.a],
            tables={
                "Results of every run": lambda: results_table(chosen.runs, chosen.protocol),
                "Class sizes": lambda: _sizes(chosen.a),
                "Items": lambda: chosen.a.items,
            },
            figures={"Class sizes": lambda: _size_figure(chosen.a)},
            unscored=("Class sizes", "Items"),
        )
    names = ["Protocol", "Metrics", "Runs", "Data"]
    METHODS.keep(names[0], names)
    protocol, definitions, runs, data = st.tabs(names, key=METHODS.key, on_change="rerun")
    if protocol.open:
        with protocol:
            _protocols(chosen)
    if definitions.open:
        with definitions:
            metrics = {m.long_title: m.definition for m in METRICS.values() if m.in_report}
            terms = (metrics | DEFINITIONS).items()
            rows = "\n".join(f"| **{name}** | {text} |" for name, text in terms)
            st.markdown(f"| Term | Definition |\n|---|---|\n{rows}")
    if runs.open:
        with runs:
            runs_tab(chosen)
    if data.open:
        with data:
            _data(chosen)


def _protocols(chosen: Selection) -> None:
    st.markdown(
        "Everything two numbers must share to be compared. The app never puts numbers made under "
        "different protocols in one column."
    )
    columns = {result.title: facts_in_words(result) for result in chosen.a.results.values()}
    table = pd.DataFrame(columns).map(plain)
    st.table(table.rename(index=plain, columns=plain))  # its texts wrap; they are Markdown
    without = [run.name for run in chosen.scored if lacks_nmi_interval(run, chosen.protocol)]
    if without:
        st.caption(f"{NO_NMI_INTERVAL} It is missing in {plain(', '.join(without))}.")


def _sizes(run: Run) -> pd.DataFrame:
    columns = ["label", "label_name", "split", "role"]
    counts = run.items.groupby(columns, observed=True).size().rename("items")
    return counts.reset_index().sort_values("items", ascending=False, ignore_index=True)


def _size_figure(run: Run) -> go.Figure:
    return figures.class_sizes(run.items["label"].value_counts().to_numpy())


def _data(chosen: Selection) -> None:
    items, dataset = chosen.a.items, chosen.a.dataset_config
    roles = items["role"].value_counts()
    parts = [f"{len(items):,} items evaluated", f"{items['label'].nunique():,} classes"]
    parts += [f"{count:,} {role}" for role, count in roles.items() if role != "both"]
    if dataset.n_train:
        parts.append(f"{dataset.n_train:,} other items were trained on, of other classes")
    st.markdown(f"**{plain(chosen.dataset)}**: " + ", ".join(parts) + ".")
    st.text(f"Images: {_near(dataset.root) if dataset.root else 'not recorded'}")
    left, right = st.container(key="beside").columns(2, gap="large")
    with left:
        sizes = items["label"].value_counts()
        st.plotly_chart(
            _size_figure(chosen.a),
            config=CONFIG,
            key="sizes",
            alt=f"How many classes have how many items, from {sizes.min():,} to {sizes.max():,}",
        )
    with right:
        table = _sizes(chosen.a).drop(columns="label")
        table.columns = ["Class", "Split", "Role", "Items"]
        widths = dict.fromkeys(table, st.column_config.Column(width=64))
        widths["Class"] = st.column_config.Column(width=270)
        st.dataframe(table, hide_index=True, height=260, key="sizes_table", column_config=widths)
    st.markdown(f"**A sample**: {PER_CLASS} items of {CLASSES} classes, drawn at random.")
    clickable_cards(
        {"rows": _sample(chosen.a)}, key="sample", on_pick=lambda pick: open_query(pick.row)
    )


def _sample(run: Run) -> list[dict]:
    rng = np.random.default_rng(0)
    labels = run.items["label"].to_numpy()
    classes = np.unique(labels)
    picked = rng.choice(classes, min(CLASSES, len(classes)), replace=False)
    cards = []
    for label in picked:
        rows = np.flatnonzero(labels == label)
        chosen = rng.choice(rows, min(PER_CLASS, len(rows)), replace=False)
        cards += [card(run, int(row)) for row in chosen]
    return [{"cards": cards, "size": 88}]


def _near(path: Path) -> str:
    """Leave out of a path where the app was started: the rest is what the reader knows."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
