"""keras-hub's own registry of presets, limited to image backbones.

Calling a function of this file loads keras-hub, which takes seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrieval.errors import UserError, how_to_install
from retrieval.models.families import FAMILIES, Family
from retrieval.models.folders import kagglehub_models

NEEDS_KERAS_HUB = f"presets need keras-hub: {how_to_install('vit')}"


@dataclass(frozen=True, kw_only=True)
class PublishedPreset:
    """An image backbone that keras-hub publishes.

    Attributes:
        handle: Where it is published, ``keras/MODEL/keras/NAME/VERSION`` on Kaggle.
        about: What keras-hub says about it: ``description``, ``params``, ...
        family: What is known of all presets of its class.
    """

    handle: str
    about: Mapping[str, Any]
    family: Family

    @property
    def model(self) -> str:
        """The model on Kaggle that it is a variant of, e.g. ``siglip``."""
        return self.handle.split("/")[1]

    @property
    def page(self) -> str:
        """Address of the model's page."""
        return self.about.get("model_card") or f"https://www.kaggle.com/models/keras/{self.model}"

    @property
    def target(self) -> Path:
        """The folder that its files belong in on this disk."""
        return kagglehub_models() / self.handle.removeprefix("keras/")

    @property
    def license(self) -> str | None:
        """License of the weights; None if only the model's page says it."""
        return self.about.get("license") or self.family.license_of(self.model)


def published_presets() -> dict[str, PublishedPreset]:
    """Return every image backbone that the installed keras-hub publishes, by its name.

    Raises:
        UserError: keras-hub is not installed.
    """
    try:
        import keras_hub  # loads TensorFlow
    except ImportError as error:
        raise UserError(NEEDS_KERAS_HUB) from error
    found = {}
    for class_name, family in FAMILIES.items():
        backbone = getattr(keras_hub.models, class_name, None)  # of another version of keras-hub
        for name, entry in (backbone.presets if backbone is not None else {}).items():
            handle = str(entry["kaggle_handle"]).removeprefix("kaggle://")
            found[name] = PublishedPreset(handle=handle, about=entry["metadata"], family=family)
    return found
