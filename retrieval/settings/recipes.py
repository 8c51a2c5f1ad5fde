"""Recipes: published experiments as YAML files, ``<data set>/<name>.yaml``.

A recipe holds settings and the published figures, so that ``retrieval train --recipe
cub200/semi_hard_triplet --data DIR`` repeats the experiment and reports show both side by side.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from retrieval.errors import unknown_option
from retrieval.settings.identity import differing, same_experiment, what_matters
from retrieval.settings.schema import TrainSettings
from retrieval.validation import as_size, read_sides, sides_of

FOLDER = Path(__file__).parents[1] / "recipes"


@dataclass(frozen=True, kw_only=True)
class Published:
    """The published figures of an experiment.

    Attributes:
        protocol: Name of the protocol they were measured under, e.g. ``leave_one_out``.
        metrics: Metric, named as in ``metrics.json``, -> value as a share of 1.
        reference: Whether they belong to a similar experiment with other settings, which the
            recipe's note describes. Defaults to False.
    """

    protocol: str
    metrics: dict[str, float]
    reference: bool = False


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One published experiment.

    Attributes:
        name: ``<data set>/<name>``.
        title: The experiment in a few words.
        source: Where the settings and the figures were published: paper, repository and table.
        settings: Every setting that differs from the defaults.
        published: The published figures. Defaults to None: there are none.
        note: What a reader of the figures should know. Defaults to no text.
    """

    name: str
    title: str
    source: str
    settings: dict[str, Any]
    published: Published | None = None
    note: str = ""

    @property
    def is_reference(self) -> bool:
        """Whether the published figures belong to a similar experiment rather than to this one."""
        return self.published is not None and self.published.reference

    def train_settings(self, changes: Mapping[str, Any] | None = None) -> TrainSettings:
        """Return the recipe's settings with the user's changes on top.

        Settings that go with a changed one are scaled with it (see :meth:`in_proportion`), and a
        change of the loss drops the options of the recipe's loss.

        Args:
            changes: Settings the user chose differently, e.g. ``data`` or ``steps``.

        Returns:
            Settings that name the recipe. Their ``scaled`` tells whether the changes make another
            experiment of it (see :func:`retrieval.settings.identity.same_experiment`).
        """
        changes = self.in_proportion(changes or {}) | dict(changes or {})
        if changes.get("loss", self.settings["loss"]) != self.settings["loss"]:
            changes = {"loss_options": {}} | changes
        unchanged = TrainSettings.from_mapping(self.settings | {"recipe": self.name})
        changed = unchanged.with_(**changes | {"recipe": self.name})
        return changed.with_(scaled=not same_experiment(unchanged, changed))

    def in_proportion(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Scale the settings that go with the image size and the number of steps.

        Args:
            changes: Settings the user chose differently.

        Returns:
            ``pre_crop`` for another ``image_size``, so that a crop shows as much of an image as the
            recipe's; ``warmup_steps``, ``freeze_steps`` and ``decay_every`` for fewer ``steps``,
            so that they take the same share of the training.

        Raises:
            UserError: The image size is not valid.
        """
        found: dict[str, Any] = {}
        steps, own = changes.get("steps"), self.settings
        # Checked first, so that an error names the setting that was given.
        given = TrainSettings.from_mapping({"image_size": changes.get("image_size")})
        size = read_sides(given.image_size)
        if size is not None and own.get("pre_crop"):
            whole, part = sides_of(own["pre_crop"]), sides_of(own["image_size"])
            found["pre_crop"] = as_size(
                (round(whole[0] * size[0] / part[0]), round(whole[1] * size[1] / part[1]))
            )
        if isinstance(steps, int) and 0 < steps < own.get("steps", 0):
            for name, least in (("warmup_steps", 0), ("freeze_steps", 0), ("decay_every", 1)):
                if own.get(name):
                    found[name] = max(least, round(own[name] * steps / own["steps"]))
        return found

    def described(self) -> str:
        """Return what a reader of the figures should know: their source, and the note."""
        return f"Source: {self.source}. {self.note}".strip()

    def changed_settings(self, settings: TrainSettings) -> list[str]:
        """Name the settings in which a run departs from the recipe.

        Args:
            settings: The run's settings.

        Returns:
            Texts such as ``image size 64``. Settings that the recipe leaves to the loss, the
            backbone or the data set are not compared.
        """
        words = []
        recipe = self.train_settings()
        own, others = what_matters(recipe), what_matters(settings)
        for name in differing(recipe, settings):
            wanted, given = own.get(name), others.get(name)
            if wanted is None or given is None:
                continue
            if isinstance(wanted, dict):
                words += [
                    f"{key} {value}" for key, value in given.items() if wanted.get(key) != value
                ]
            else:
                words.append(f"{name.replace('_', ' ')} {given}")
        return words


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
    if figures := content.pop("published", None):
        about = {key: figures.pop(key) for key in ("protocol", "reference") if key in figures}
        content["published"] = Published(metrics=figures, **about)
    return Recipe(name=name, **content)


def from_recipe(settings: TrainSettings, name: str) -> bool:
    """Tell whether a setting has the recipe's value rather than one that the user chose."""
    if settings.recipe is None:
        return False
    recipe = load_recipe(settings.recipe)
    return name in recipe.settings and bool(recipe.settings[name] == getattr(settings, name))
