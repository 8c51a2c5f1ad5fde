"""Published figures beside measured ones, for runs made by a recipe."""

import numpy as np
import pandas as pd

from retrieval.recipes import Recipe, load_recipe, recipe_names
from retrieval.report_text import TITLES
from retrieval.runs import Run

PUBLISHED = ("recall@1", "recall@2", "recall@4", "recall@8", "map@r", "r_precision", "nmi")
PROTOCOLS = {"leave_one_out": "leave-one-out", "query_gallery": "query -> gallery"}


def published_table(runs: list[Run], protocol: str) -> pd.DataFrame:
    """Set measured beside published figures, for runs made by a recipe that has any.

    Args:
        runs: Runs of one data set.
        protocol: What was measured under it; NaN beside figures published under another.

    Returns:
        Columns ``run``, ``recipe``, ``metric`` (title), ``measured``, ``published`` (shares; NMI
        0..1) and ``changed``: why the two need not agree, empty if they should.
    """
    rows = []
    for run in runs:
        settings = run.config.get("settings") or {}
        if settings.get("recipe") not in recipe_names():
            continue
        recipe = load_recipe(settings["recipe"])
        same = recipe.published.get("protocol") == protocol
        changed = _why_not_comparable(run, recipe, same)
        for name in PUBLISHED:
            if name in recipe.published:
                measured = _measured(run, protocol, name) if same else np.nan
                row = (run.name, recipe.name, TITLES[name], measured, recipe.published[name])
                rows.append((*row, changed))
    columns = ["run", "recipe", "metric", "measured", "published", "changed"]
    return pd.DataFrame(rows, columns=columns)


def published_notes(table: pd.DataFrame) -> dict[str, str]:
    """Return what to know about published figures, beyond what their table says.

    Args:
        table: See :func:`published_table`.

    Returns:
        Recipe -> note, for the recipes that have one.
    """
    said = dict(zip(table["recipe"], table["changed"], strict=True))
    notes = {name: load_recipe(name).note for name in said}
    return {name: note for name, note in notes.items() if note and note not in said[name]}


def _why_not_comparable(run: Run, recipe: Recipe, same_protocol: bool) -> str:
    options = run.config["dataset"].get("options") or {}
    as_published = recipe.settings.get("dataset_options", {})
    other_boxes = bool(options.get("boxes")) != bool(as_published.get("boxes"))
    if not same_protocol:
        protocol = recipe.published.get("protocol")
        return f"published under {PROTOCOLS.get(protocol, protocol)}: not comparable"
    if options.get("stand_in"):
        return "stand-in data: not comparable"
    if run.config["settings"].get("scaled") or other_boxes:
        return "settings changed: not comparable"
    return f"reference, other settings: {recipe.note}" if recipe.is_reference else ""


def _measured(run: Run, protocol: str, name: str) -> float:
    for entry in run.metrics["results"]:
        if entry["protocol"]["name"] == protocol:
            value = (entry["metrics"].get(name) or {}).get("value")
            return np.nan if value is None else float(value)
    return np.nan
