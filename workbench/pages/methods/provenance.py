"""The runs on the page Methods and data: how each was made, and the shape of its embedding."""

import numpy as np
import pandas as pd
import streamlit as st

from retrieval.runs.run import Run
from workbench.analysis.naming import UNTRAINED, loss_of, seed_of
from workbench.session.parameters import SETTINGS
from workbench.session.selection import Selection

GEOMETRY = {
    "relative_spread": "relative spread: 0 if all embeddings are equal",
    "density": "class spread / class distance (Roth 2020)",
    "spectral_decay": "spectral decay: 0 if all directions are used alike (Roth 2020)",
    "effective_rank": "effective rank (Roy 2007)",
    "alignment": "alignment of positive pairs (Wang 2020)",
    "uniformity": "uniformity (Wang 2020)",
    "hubness": "hubness: skewness of the 10-occurrence (Radovanovic 2010)",
    "share_never_retrieved": "share of the gallery in no top-10 list",
    "near_duplicates": "share of queries with a near-duplicate (cosine 0.999)",
}


def runs_tab(chosen: Selection) -> None:
    """Draw what each run was made with, how its embedding is spread, and every setting of one."""
    rows = []
    for run in chosen.runs:
        settings, provenance = run.settings, run.provenance
        rows.append(
            {
                "Run": run.name,
                "Loss": loss_of(run) if settings else "imported",
                "Backbone": settings and settings.backbone,
                "Distance": _distance(run, chosen.protocol),
                "Width": int(run.embeddings.shape[1]),
                "Steps": 0 if loss_of(run) == UNTRAINED else settings and settings.steps,
                "Seed": seed_of(run),
                "Seconds": provenance.total_seconds,
                "Created": provenance.created,
                "Git revision": provenance.git_revision or "",
            }
        )
    seconds = st.column_config.NumberColumn(format="%.0f")
    st.dataframe(
        pd.DataFrame(rows), hide_index=True, key="runs", column_config={"Seconds": seconds}
    )
    _geometry(chosen)
    run = _chosen_run(chosen)
    st.code(run.config_text, language="yaml")


def _chosen_run(chosen: Selection) -> Run:
    """Draw the choice of a run, which is run A again whenever that changes."""
    names, a = [run.name for run in chosen.runs], chosen.a.name
    SETTINGS.keep(a, names, context=a)
    name = st.selectbox("Every setting of", names, key=SETTINGS.key, width=360)
    return chosen.runs[names.index(name)]


def _distance(run: Run, protocol: str) -> str | None:
    return run.results[protocol].protocol.distance if protocol in run.results else None


def _geometry(chosen: Selection) -> None:
    cards = {run.name: run.result(chosen.protocol).geometry for run in chosen.scored}
    rows = [
        {"Geometry of the embedding": meaning}
        | {name: card[key] for name, card in cards.items() if np.isfinite(card.get(key, np.nan))}
        for key, meaning in GEOMETRY.items()
        if any(np.isfinite(card.get(key, np.nan)) for card in cards.values())
    ]
    if rows:
        number = st.column_config.NumberColumn(format="%.3f")
        st.dataframe(
            pd.DataFrame(rows),
            hide_index=True,
            key="geometry",
            column_config=dict.fromkeys(cards, number),
            height="content",
        )
