"""The runs on the page Methods and data: how each was made, and the shape of its embedding."""

import numpy as np
import pandas as pd
import streamlit as st

from retrieval.evaluation.geometry import NEAR_DUPLICATE
from retrieval.runs.compression import trained_widths
from retrieval.runs.run import Run
from workbench.analysis.naming import is_untrained, loss_of, seed_of
from workbench.session.parameters import SETTINGS
from workbench.session.selection import Selection

GEOMETRY = {
    "relative_spread": "relative spread: 0 if all embeddings are equal",
    "density": "spread within classes / distance between classes (Roth 2020)",
    "spectral_decay": "spectral decay: 0 if all directions are used equally (Roth 2020)",
    "effective_rank": "effective rank (Roy 2007)",
    "alignment": "alignment of positive pairs (Wang 2020)",
    "uniformity": "uniformity (Wang 2020)",
    "hubness": "hubness: skewness of the 10-occurrence (Radovanovic 2010)",
    "share_never_retrieved": "share of gallery items in no top-10 list (anti-hubs)",
    "near_duplicates": f"share of queries with a near-duplicate (cosine of {NEAR_DUPLICATE})",
}


def runs_tab(chosen: Selection) -> None:
    """Draw how each run was made, the geometry of its embedding, and every setting of one run.

    Args:
        chosen: The choices made in the sidebar.
    """
    st.dataframe(
        pd.DataFrame([_origin(run, chosen.protocol) for run in chosen.runs]),
        hide_index=True,
        key="runs",
        column_config={"Seconds": st.column_config.NumberColumn(format="%.0f")},
    )
    _geometry(chosen)
    run = _chosen_run(chosen)
    st.code(run.config_text, language="yaml")


def _origin(run: Run, protocol: str) -> dict[str, object]:
    """Describe in one row how a run was made."""
    settings, provenance = run.settings, run.provenance
    steps = None if settings is None else settings.steps
    return {
        "Run": run.name,
        "Loss": loss_of(run) if settings else "imported",
        "Backbone": settings.backbone if settings else None,
        "Distance": run.results[protocol].protocol.distance if protocol in run.results else None,
        "Embedding size": int(run.embeddings.shape[1]) if run.has_embeddings else None,
        "Also trained at widths": ", ".join(map(str, trained_widths(run))) or None,
        "Steps": 0 if is_untrained(run) else steps,
        "Seed": seed_of(run),
        "Seconds": provenance.total_seconds,
        "Device": provenance.device or None,
        "Created": provenance.created,
        "Git revision": provenance.git_revision or "",
    }


def _chosen_run(chosen: Selection) -> Run:
    """Draw the choice of a run; it returns to run A whenever run A changes."""
    names, a = [run.name for run in chosen.runs], chosen.a.name
    name = SETTINGS.keep(a, names, context=a)
    st.selectbox("All settings of", names, key=SETTINGS.key, width=360)
    return chosen.runs[names.index(name)]


def _geometry(chosen: Selection) -> None:
    found = {run.name: run.results[chosen.protocol].geometry for run in chosen.scored}
    rows = []
    for key, meaning in GEOMETRY.items():
        values = {name: values.get(key, np.nan) for name, values in found.items()}
        if not np.isnan(list(values.values())).all():
            rows.append({"Geometry of the embedding": meaning} | values)
    if rows:
        number = st.column_config.NumberColumn(format="%.3f")
        st.dataframe(
            pd.DataFrame(rows),
            hide_index=True,
            key="geometry",
            column_config=dict.fromkeys(found, number),
            height="content",
        )
