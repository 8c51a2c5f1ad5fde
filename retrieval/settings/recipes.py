"""Published experiments as YAML, ``<data set>/<name>.yaml``, with what was published.

Used by ``retrieval train --recipe cub200/semi_hard_triplet --data DIR``.
"""

from dataclasses import dataclass, field
from pathlib import Path

import yaml

from retrieval.datasets import dataset_options
from retrieval.errors import unknown_option
from retrieval.settings.schema import TrainSettings

FOLDER = Path(__file__).parents[1] / "recipes"
# What leaves a recipe as it is. Not chunk_size: batch norms in training mode, which most recipes
# have, then take their statistics over a chunk.
FREE = (
    "data", "seed", "distribute", "tensorboard", "keep_embeddings", "cache_images_gb",
    "check_memory",
)  # fmt: skip


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
            data, the seed or the device was changed. What hangs together is scaled together, see
            :meth:`in_proportion`; the options of the recipe's loss are not another loss's.
        """
        changes = self.in_proportion(changes or {}) | (changes or {})
        if changes.get("loss", self.settings["loss"]) != self.settings["loss"]:
            changes = {"loss_options": {}} | changes
        merged = self.settings | changes
        own, asked = _with_every_option(self.settings), _with_every_option(merged)
        scaled = any(own.get(key) != asked[key] for key in changes if key not in FREE)
        return TrainSettings.from_mapping(merged | {"recipe": self.name, "scaled": scaled})

    def in_proportion(self, changes: dict) -> dict:
        """Scale what goes with the image size and the number of steps.

        Args:
            changes: Settings the user chose differently.

        Returns:
            ``pre_crop`` for another ``image_size``, so that a crop shows as much of an image as the
            recipe's; ``warmup_steps`` and ``freeze_steps`` for fewer ``steps``, so that they leave
            as large a part of the training.
        """
        found = {}
        size, steps, own = changes.get("image_size"), changes.get("steps"), self.settings
        if isinstance(size, int) and own.get("pre_crop"):
            found["pre_crop"] = round(own["pre_crop"] * size / own["image_size"])
        if isinstance(steps, int) and 0 < steps < own["steps"]:
            for name in ("warmup_steps", "freeze_steps"):
                if own.get(name):
                    found[name] = round(own[name] * steps / own["steps"])
        return found

    def changed_settings(self, settings: dict) -> list[str]:
        """Say which settings of a run are not the recipe's.

        Args:
            settings: The run's, as its ``config.yaml`` has them.

        Returns:
            Words such as ``image size 64``; what the recipe leaves open is not compared.
        """
        words = []
        for name, wanted in _with_every_option(self.train_settings().to_mapping()).items():
            given = settings.get(name)
            if name in (*FREE, "recipe", "scaled") or None in (wanted, given):
                continue
            if isinstance(wanted, dict):
                words += [
                    f"{key} {value}" for key, value in given.items() if wanted.get(key) != value
                ]
            elif given != wanted:
                words.append(f"{name.replace('_', ' ')} {given}")
        return words


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


def from_recipe(settings: TrainSettings, name: str) -> bool:
    """Tell whether a setting has the recipe's value rather than one that the user chose."""
    if settings.recipe is None:
        return False
    return load_recipe(settings.recipe).settings.get(name) == getattr(settings, name)
