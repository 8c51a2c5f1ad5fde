"""Published experiments as YAML, ``<data set>/<name>.yaml``, with what was published.

Used by ``retrieval train --recipe cub200/semi_hard_triplet --data DIR``.
"""

from dataclasses import dataclass, field
from pathlib import Path

import yaml

from retrieval.errors import unknown_option
from retrieval.settings import TrainSettings

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Recipe:
    """One experiment.

    Attributes:
        name: ``<data set>/<name>``.
        title: What it is.
        settings: Every setting that differs from the defaults.
        published: The protocol and the published metrics, as shares of 1; empty if none.
        note: What to know about them.
    """

    name: str
    title: str
    settings: dict
    published: dict = field(default_factory=dict)
    note: str = ""

    def train_settings(self, changes: dict | None = None) -> TrainSettings:
        """Return the recipe's settings with the user's changes on top.

        Args:
            changes: Settings the user chose differently, e.g. ``data``, ``steps``.

        Returns:
            Settings that name the recipe; ``scaled`` says whether anything but the place of the
            data, the seed or the device was changed.
        """
        changes = changes or {}
        # Not chunk_size: batch norms in training mode, which most recipes have, then take their
        # statistics over a chunk.
        free = {
            "data", "seed", "distribute", "tensorboard", "keep_embeddings", "cache_images_gb",
            "dataset_options", "check_memory",
        }  # fmt: skip
        scaled = any(self.settings.get(k) != v for k, v in changes.items() if k not in free)
        merged = self.settings | changes | {"recipe": self.name, "scaled": scaled}
        return TrainSettings.from_mapping(merged)


def recipe_names() -> list[str]:
    """Return every recipe's name, sorted."""
    return sorted(p.relative_to(FOLDER).with_suffix("").as_posix() for p in FOLDER.glob("*/*.yaml"))


def load_recipe(name: str) -> Recipe:
    """Read a recipe.

    Args:
        name: ``<data set>/<name>``.

    Returns:
        The recipe.

    Raises:
        UserError: Unknown name; the message names the closest one.
    """
    if name not in recipe_names():
        raise unknown_option("recipe", name, recipe_names())
    content = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    return Recipe(name, **content)
