"""Tables of a notebook from before any run: the data set and its recipes."""

import pandas as pd

from retrieval.datasets.catalog import Catalog
from retrieval.evaluation.metrics import TITLES
from retrieval.settings.recipes import load_recipe, recipe_names
from workbench.analysis.tables import percent


def facts(catalog: Catalog) -> pd.DataFrame:
    """Count images and classes of each split.

    Args:
        catalog: The data set.

    Returns:
        One row per split: ``images``, ``classes``, ``smallest``, ``median`` and ``largest`` class
        and, where the split has roles, ``queries`` and ``gallery``.
    """
    rows = {}
    for split, part in catalog.items.groupby("split", sort=False):
        sizes = part.groupby("label").size()
        rows[split] = {
            "images": len(part),
            "classes": len(sizes),
            "smallest class": sizes.min(),
            "median class": int(sizes.median()),
            "largest class": sizes.max(),
        }
        if (part["role"] != "both").any():
            rows[split] |= {
                "queries": int((part["role"] != "gallery").sum()),
                "gallery": int((part["role"] != "query").sum()),
            }
    return pd.DataFrame(rows).T.astype("Int64")


def published_recipes(dataset: str) -> pd.DataFrame:
    """List the recipes of a data set with what was published for them, in percent.

    Args:
        dataset: Its name.

    Returns:
        One row per recipe; the note says what the figures are where they are not the recipe's own.
    """
    rows = []
    for name in recipe_names():
        if not name.startswith(f"{dataset}/"):
            continue
        recipe = load_recipe(name)
        settings = recipe.train_settings()
        batch = f"{settings.classes_per_batch} x {settings.samples_per_class}"
        figures = {
            TITLES[m]: percent(recipe.published.get(m, float("nan")))
            for m in ("recall@1", "recall@4", "nmi")
        }
        rows.append(
            {
                "recipe": name,
                "backbone": settings.backbone,
                "P x K": batch,
                "optimizer": settings.optimizer,
                "steps": settings.steps,
                **figures,
                "note": f"reference, other settings: {recipe.note}"
                if recipe.is_reference
                else recipe.note,
            }
        )
    return pd.DataFrame(rows).set_index("recipe")
