"""Published figures beside measured ones, for runs made by a recipe."""

import numpy as np
import pandas as pd

from retrieval.recipes import load_recipe, recipe_names
from retrieval.report_text import TITLES
from retrieval.runs import Run

PUBLISHED = ("recall@1", "recall@2", "recall@4", "recall@8", "map@r", "r_precision", "nmi")


def published_table(runs: list[Run], protocol: str) -> pd.DataFrame:
    """Set measured beside published figures, for runs made by a recipe that has any.

    Args:
        runs: Runs of one data set.
        protocol: Only figures published under the same protocol are shown.

    Returns:
        Columns ``run``, ``recipe``, ``metric`` (title), ``measured``, ``published`` (shares; NMI
        0..1) and ``changed``: the settings are not those of the recipe, so that the two need not
        agree.
    """
    rows = []
    for run in runs:
        settings = run.config.get("settings") or {}
        if settings.get("recipe") not in recipe_names():
            continue
        published = load_recipe(settings["recipe"]).published
        if published.get("protocol") != protocol:
            continue
        for name in PUBLISHED:
            if name in published:
                measured = _measured(run, protocol, name)
                changed = bool(settings.get("scaled"))
                row = (run.name, settings["recipe"], TITLES[name], measured, published[name])
                rows.append((*row, changed))
    columns = ["run", "recipe", "metric", "measured", "published", "changed"]
    return pd.DataFrame(rows, columns=columns)


def _measured(run: Run, protocol: str, name: str) -> float:
    for entry in run.metrics["results"]:
        if entry["protocol"]["name"] == protocol:
            value = (entry["metrics"].get(name) or {}).get("value")
            return np.nan if value is None else float(value)
    return np.nan
