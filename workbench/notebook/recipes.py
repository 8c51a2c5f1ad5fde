"""Recipes in a notebook: what was published for them, and what a run of one measured."""

import pandas as pd

from retrieval.evaluation.metrics import Metric, metric, summarized
from retrieval.report.published import REFERENCE, published_notes, published_table
from retrieval.runs.run import Run
from retrieval.settings.recipes import load_recipe, recipe_names
from retrieval.validation import LEAVE_ONE_OUT


def published_recipes(dataset: str) -> pd.DataFrame:
    """List the recipes of a data set with their published results.

    Args:
        dataset: Name of the data set.

    Returns:
        One row per recipe, with its source; ``figures`` says where the published results are those
        of a similar experiment, and the note how that differs.
    """
    rows = []
    for name in recipe_names():
        if not name.startswith(f"{dataset}/"):
            continue
        recipe = load_recipe(name)
        settings = recipe.train_settings()
        batch = f"{settings.classes_per_batch} x {settings.samples_per_class}"
        published = recipe.published.metrics if recipe.published else {}
        figures = {metric(m).title: metric(m).quote(published.get(m)) for m in summarized()}
        rows.append(
            {
                "recipe": name,
                "backbone": settings.backbone,
                "P x K": batch,
                "optimizer": settings.optimizer,
                "steps": settings.steps,
                **figures,
                "figures": REFERENCE if recipe.is_reference else "",
                "source": recipe.source,
                "note": recipe.note,
            }
        )
    return pd.DataFrame(rows).set_index("recipe")


def published_results(runs: dict[str, Run], protocol: str = LEAVE_ONE_OUT) -> pd.DataFrame:
    """Compare measured with published results.

    Args:
        runs: Title -> run made from a recipe.
        protocol: Name of the evaluation protocol of the measured results. Defaults to
            ``leave_one_out``. A result that was published under another protocol is shown as a
            dash.

    Returns:
        One row per run and metric, with the recipe's source and note and, where the two results
        cannot be compared, the reason.
    """
    table = published_table(list(runs.values()), protocol)
    notes, changed = published_notes(table), table.pop("changed")
    metrics = [metric(name) for name in table["metric"]]
    table["metric"] = [one.title for one in metrics]
    for column, write in (("measured", Metric.format), ("published", Metric.quote)):
        table[column] = [write(one, v) for one, v in zip(metrics, table[column], strict=True)]
    table["settings"] = [why or "as published" for why in changed]
    table["note"] = [notes.get(recipe, "") for recipe in table["recipe"]]
    return table.set_index(["run", "metric"])
