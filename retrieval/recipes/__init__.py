"""Published experiments, one YAML file each: ``<data set>/<name>.yaml``."""

from retrieval.settings.recipes import Recipe, load_recipe, recipe_names

__all__ = ["Recipe", "load_recipe", "recipe_names"]
