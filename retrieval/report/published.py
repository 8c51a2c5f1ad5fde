"""Compare measured with published results, for runs made from a recipe."""

import numpy as np
import pandas as pd

from retrieval.evaluation.metrics import in_order, metric
from retrieval.runs.run import Run
from retrieval.settings.recipes import Published, Recipe, load_recipe, recipe_names
from retrieval.validation import PROTOCOLS

REFERENCE = "reference: published for a similar experiment, see the note"


def published_table(runs: list[Run], protocol: str) -> pd.DataFrame:
    """Tabulate measured and published results of the runs whose recipe has published results.

    Args:
        runs: Runs of one data set.
        protocol: Name of the protocol of the measured results. They are NaN where the published
            results are under another protocol.

    Returns:
        Columns ``run``, ``recipe``, ``metric`` (its name), ``measured``, ``published`` (both as
        stored, in 0..1) and ``changed``: why the two need not agree, empty if they should.
    """
    rows = []
    for run in runs:
        recipe = recipe_of(run)
        if recipe is None or recipe.published is None:
            continue
        same = recipe.published.protocol == protocol
        changed = _why_not_comparable(run, recipe, recipe.published, same)
        for name in in_order(recipe.published.metrics):
            value = recipe.published.metrics[name]
            measured = _measured(run, protocol, name) if same else np.nan
            rows.append((run.name, recipe.name, name, measured, value, changed))
    columns = ["run", "recipe", "metric", "measured", "published", "changed"]
    return pd.DataFrame(rows, columns=columns)


def published_notes(table: pd.DataFrame) -> dict[str, str]:
    """Return the sources of published results and the notes on them.

    Args:
        table: See :func:`published_table`.

    Returns:
        Recipe -> its source and its note.
    """
    return {name: load_recipe(name).described() for name in dict.fromkeys(table["recipe"])}


def deviations(run: Run) -> list[str]:
    """List how a run deviates from its data set and recipe, so that results may differ.

    Args:
        run: Any run, made from a recipe or not.

    Returns:
        ``synthetic placeholder``, and ``settings changed`` with the settings; empty if it does not
        deviate.
    """
    found = ["synthetic placeholder"] if run.dataset_config.is_placeholder else []
    options = run.dataset_config.loader_options
    recipe, settings = recipe_of(run), run.settings
    if recipe is None or settings is None:
        return found
    as_published = recipe.settings.get("dataset_options", {})
    other_boxes = bool(options.get("boxes")) != bool(as_published.get("boxes"))
    # Compared in any case: the recipe may have been another one when the run was made.
    which = ", ".join(recipe.changed_settings(settings.with_(dataset_options=options)))
    if settings.scaled or other_boxes or which:
        found.append(f"settings changed ({which})" if which else "settings changed")
    return found


def recipe_of(run: Run) -> Recipe | None:
    """Return the recipe that a run was made from; None if there is none of that name."""
    name = run.settings.recipe if run.settings else None
    return load_recipe(name) if name is not None and name in recipe_names() else None


def published_line(run: Run) -> str:
    """State the published results of a run's recipe, and why the run may deviate, in one line.

    Args:
        run: Any run.

    Returns:
        The line, without the run's name if it has no recipe; empty if there is nothing to state.
    """
    recipe, found = recipe_of(run), "; ".join(deviations(run))
    if recipe is None:
        return f"{run.dataset}: {found}, not the published data set" if found else ""
    parts = []
    if published := published_text(recipe):
        parts.append(published)
    if found:
        parts.append(f"not comparable: {found}")
    return f"{run.dataset}/{run.name}: {'; '.join(parts)}" if parts else ""


def published_text(recipe: Recipe) -> str:
    """State the published results of a recipe and their protocol; empty if there are none."""
    if recipe.published is None:
        return ""
    results = [
        f"{metric(name).title} {metric(name).quote(recipe.published.metrics[name])}"
        for name in in_order(recipe.published.metrics)
    ]
    how = "similar experiment, " if recipe.is_reference else ""
    return f"published {', '.join(results)} ({how}{_protocol_title(recipe.published)})"


def _why_not_comparable(run: Run, recipe: Recipe, published: Published, same_protocol: bool) -> str:
    found = deviations(run)
    if not same_protocol:
        found.insert(0, f"published under {_protocol_title(published)}")
    if found:
        return f"not comparable: {'; '.join(found)}"  # first, so that narrow columns show it
    return REFERENCE if recipe.is_reference else ""


def _protocol_title(published: Published) -> str:
    """Return the protocol in words: its rule, and after it what else it goes by."""
    base, _, more = published.protocol.partition(".")
    return ", ".join(filter(None, (PROTOCOLS.get(base, base), more.replace("-", " "))))


def _measured(run: Run, protocol: str, name: str) -> float:
    result = run.results.get(protocol)
    return np.nan if result is None else result.metric(name).value
