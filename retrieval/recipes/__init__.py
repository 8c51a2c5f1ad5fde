"""Published experiments as YAML, ``<data set>/<name>.yaml``, with what was published.

Used by ``retrieval train --recipe cub200/semi_hard_triplet --data DIR``.
"""

from dataclasses import dataclass, field
from pathlib import Path

import yaml

from retrieval.datasets import dataset_options
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
        published: The protocol and the published metrics, as shares of 1; empty if none. With
            ``reference: true`` they are of a like experiment with other settings: see ``note``.
        note: What to know about them.
    """

    name: str
    title: str
    settings: dict
    published: dict = field(default_factory=dict)
    note: str = ""

    @property
    def is_reference(self) -> bool:
        """Whether the published figures are of a like experiment rather than of this one."""
        return bool(self.published.get("reference"))

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
            "check_memory",
        }  # fmt: skip
        merged = self.settings | changes
        own, asked = _with_every_option(self.settings), _with_every_option(merged)
        scaled = any(own.get(key) != asked[key] for key in changes if key not in free)
        return TrainSettings.from_mapping(merged | {"recipe": self.name, "scaled": scaled})


def _with_every_option(settings: dict) -> dict:
    """Spell out the data set's options: naming a default changes nothing."""
    options = dataset_options(settings["dataset"]) | settings.get("dataset_options", {})
    return settings | {"dataset_options": options}


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
