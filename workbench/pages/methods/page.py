"""Methods and data: how every number was computed, from which data and by which run."""

from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from retrieval.evaluation.metrics import METRICS
from retrieval.evaluation.statistics import LEAST_CLASSES
from retrieval.runs.run import Run
from retrieval.validation import QUERY_GALLERY, base_protocol
from workbench import figures
from workbench.analysis.protocol import NO_NMI_INTERVAL, facts_in_words, lacks_nmi_interval
from workbench.analysis.tables import results_table
from workbench.components.gallery import card
from workbench.figures.style import CONFIG
from workbench.layout.exports import export_menu
from workbench.layout.theme import file_stem, page_head, plain
from workbench.pages.methods.provenance import runs_tab
from workbench.pages.shared.cards import clickable_cards
from workbench.pages.shared.tabs import lazy_tabs
from workbench.session.navigation import open_query
from workbench.session.parameters import METHODS
from workbench.session.selection import Selection, selection

DEFINITIONS = {  # of what is not in the registry of metrics
    "95% interval": "Studentized bootstrap over classes: whole classes are drawn with replacement, "
    "because queries of one class are not independent, and every resample is divided by its own "
    "standard error. With several seeds, the error over seeds is added as an independent one. "
    f"Queries that count as fewer than {LEAST_CLASSES} classes of equal size have no interval.",
    "Significance": "Every run sees the same resamples. Differences are judged in families, each "
    "with simultaneous 95% intervals (max-t): every run with the best (Hsu 1984), with the "
    "untrained network, or all pairs. A difference is significant if its interval excludes 0; then "
    "its p-value, adjusted over the family, is below .05. For two runs, McNemar's exact test is "
    "given too, not adjusted.",
    "Cost of a smaller form": "Value of the embedding as it is minus that of a smaller form of "
    "it, on the same queries and seeds; the intervals of all forms of a loss hold at once. Forms "
    "are fitted on the gallery, without labels. Where fewer than six classes change, the interval "
    "is that of as many coins as the queries are worth (Clopper and Pearson 1934; Korn and "
    "Graubard 1998).",
    "Matryoshka": "The loss is the mean of the loss at several widths of the embedding, cut off "
    "and, if the embedding is normalized, scaled to unit length again; a loss with weights of its "
    "own has them for every width (Kusupati 2022).",
    "Rank of the first relevant item": "Rank of the nearest item of the query's class in the "
    "whole gallery, not only among the stored neighbors.",
    "Hubness": "Number of top-10 lists that an item is in (Radovanovic 2010). Hubs are in many, "
    "anti-hubs in none.",
    "Neighborhood preservation": "Share of an item's 10 nearest items in the embedding space that "
    "are among its 10 nearest items on the map.",
}
ROLES = {"query": "queries", "gallery": "gallery items"}
CLASSES, PER_CLASS = 12, 6  # of the sample of images


def methods_page() -> None:
    """Draw the page."""
    chosen = selection()
    head = page_head("Methods and data", chosen, run=False)
    with head:
        export_menu(
            name=file_stem(chosen),
            about=[chosen.a],
            tables={
                "Results of every run": lambda: results_table(
                    chosen.runs, chosen.protocol, ranked_by=chosen.metric
                ),
                "Class sizes": lambda: _sizes(chosen.a),
                "Items": lambda: chosen.a.items,
            },
            figures={"Class sizes": lambda: _size_figure(chosen.a)},
            unscored=("Class sizes", "Items"),
        )
    lazy_tabs(
        METHODS,
        {
            "Protocol": lambda: _protocols(chosen),
            "Metrics": _definitions,
            "Runs": lambda: runs_tab(chosen),
            "Data": lambda: _data(chosen),
        },
    )


def _definitions() -> None:
    metrics = {m.long_title: m.definition for m in METRICS.values() if m.in_report}
    rows = (f"| **{term}** | {text} |" for term, text in (metrics | DEFINITIONS).items())
    st.markdown("| Term | Definition |\n|---|---|\n" + "\n".join(rows))


def _protocols(chosen: Selection) -> None:
    st.markdown(
        "Two numbers can be compared only if they agree in everything below. The app never puts "
        "numbers of different protocols into one column."
    )
    columns = {result.title: facts_in_words(result) for result in chosen.a.results.values()}
    table = pd.DataFrame(columns).map(plain)
    st.table(table.rename(index=plain, columns=plain))  # its texts wrap; they are Markdown
    without = [run.name for run in chosen.scored if lacks_nmi_interval(run, chosen.protocol)]
    if without:
        st.caption(f"{NO_NMI_INTERVAL} Runs without it: {plain(', '.join(without))}.")


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
    if base_protocol(chosen.protocol) == QUERY_GALLERY:
        parts += [f"{roles[role]:,} {title}" for role, title in ROLES.items() if role in roles]
    else:
        parts.append("each item a query against all others")
    if dataset.n_train:
        parts.append(f"trained on {dataset.n_train:,} other items, of other classes")
    st.markdown(f"**{plain(chosen.dataset)}**: " + ", ".join(parts) + ".")
    for remark in (*dataset.remarks, *chosen.a.backbone_remarks):
        st.markdown(f":material/info: {plain(remark)}")
    st.text(f"Images: {_shortened(dataset.root) if dataset.root else 'folder not recorded'}")
    left, right = st.container(key="beside").columns(2, gap="large")
    with left:
        sizes = items["label"].value_counts()
        st.plotly_chart(
            _size_figure(chosen.a),
            config=CONFIG,
            key="sizes",
            alt=f"Histogram of class sizes, from {sizes.min():,} to {sizes.max():,} items",
        )
    with right:
        table = _sizes(chosen.a).drop(columns="label")
        table.columns = ["Class", "Split", "Role", "Items"]
        widths = dict.fromkeys(table, st.column_config.Column(width=64))
        widths["Class"] = st.column_config.Column(width=270)
        st.dataframe(table, hide_index=True, height=260, key="sizes_table", column_config=widths)
    st.markdown(f"**Sample**: up to {PER_CLASS} items of {CLASSES} classes, drawn at random.")
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


def _shortened(folder: Path) -> str:
    """Return a path relative to the working directory if it is inside it, else unchanged."""
    here = Path.cwd()
    return str(folder.relative_to(here) if folder.is_relative_to(here) else folder)
