"""The image backbones that keras-hub publishes, from its own registry of presets.

Calling a function of this file loads keras-hub, which takes seconds.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from retrieval.errors import UserError
from retrieval.models.families import FAMILIES, Family
from retrieval.models.folders import kagglehub_models
from retrieval.models.presets import HUB, NEEDS_KERAS_HUB, find_preset, read_preset
from retrieval.validation import ImageSize

# In names (patch16_224, window7_224, r240) and in descriptions.
SIDES = (
    r"(?:patch|window)\d+_(\d{3})_",
    r"_r(\d{3})_",
    r"image size (?:of )?(\d+)",
    r"(\d{3})x\d{3}",
)
MODEL_PAGE = "see model page"


@dataclass(frozen=True, kw_only=True)
class ListedPreset:
    """A published image backbone.

    Attributes:
        name: ``hub:NAME``.
        family: What is known of all presets of its class.
        parameters: Number of parameters, the text tower's included, as keras-hub states it.
        license: License of the weights.
        page: Address of the model's page.
        description: keras-hub's description.
        folder: Where its files are on this disk; None if they are not.
        target: Where its files belong.
        feature_size: Width of the paper's pooled output; until the files are here, as the name says;
            None if it does not.
        image_size: Size of the input it was made for, as the files, the name or the description
            say.
    """

    name: str
    family: Family
    parameters: int | None
    license: str
    page: str
    description: str
    folder: Path | None
    target: Path
    feature_size: int | None
    image_size: ImageSize | None


def preset_handles() -> dict[str, str]:
    """Return the handle of every published image backbone, e.g. ``kaggle://keras/clip/...``."""
    return {name: str(entry["kaggle_handle"]) for name, (entry, _) in _registered().items()}


def list_presets(family: str | None = None) -> list[ListedPreset]:
    """List keras-hub's image backbones.

    Args:
        family: Name of a family, such as ``dinov3``. Defaults to None, all.

    Returns:
        The presets, by family and size.

    Raises:
        UserError: keras-hub is not installed.
    """
    listed = [
        _listed(name, entry, of_class)
        for name, (entry, of_class) in _registered().items()
        if family is None or of_class.name == family
    ]
    return sorted(listed, key=lambda each: (each.family.name, each.parameters or 0, each.name))


def _registered() -> dict[str, tuple[dict, Family]]:
    """Return name -> entry of keras-hub's registry and family, for image backbones."""
    try:
        import keras_hub  # loads TensorFlow
    except ImportError as error:
        raise UserError(NEEDS_KERAS_HUB) from error
    found = {}
    for class_name, family in FAMILIES.items():
        backbone = getattr(keras_hub.models, class_name, None)  # of another version of keras-hub
        for name, entry in (backbone.presets if backbone is not None else {}).items():
            found[name] = (entry, family)
    return found


def _listed(name: str, entry: dict, family: Family) -> ListedPreset:
    about, handle = entry["metadata"], str(entry["kaggle_handle"]).removeprefix("kaggle://")
    folder = find_preset(name)
    here = None if folder is None else read_preset(HUB + name)
    return ListedPreset(
        name=HUB + name,
        family=family,
        parameters=about.get("params"),
        license=about.get("license") or family.license_of(handle.split("/")[1]) or MODEL_PAGE,
        page=about.get("model_card")
        or "https://www.kaggle.com/models/" + handle.split("/keras/")[0],
        description=" ".join(about.get("description", "").split()),
        folder=folder,
        target=kagglehub_models() / handle.removeprefix("keras/"),
        feature_size=family.width_in_name(name) if here is None else here.feature_size,
        image_size=_side_in(name, about) if here is None else here.image_size,
    )


def _side_in(name: str, about: dict) -> int | None:
    """Return the image size that a preset's name says, or else its description."""
    text = f"{name}_ {about.get('description', '')}"
    found = [re.search(pattern, text) for pattern in SIDES]
    return next((int(match.group(1)) for match in found if match), None)
