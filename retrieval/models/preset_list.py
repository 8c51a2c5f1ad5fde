"""The image backbones that keras-hub publishes, from its own registry of presets.

Calling a function of this file loads keras-hub, which takes seconds.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrieval.models.families import Family
from retrieval.models.presets import HUB, find_preset, read_preset
from retrieval.models.published_presets import PublishedPreset, published_presets
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
        feature_size: Width of the paper's pooled output; until the files are here, as the name
            says; None if it does not.
        pooling: The default of ``--pooling``.
        poolings: Every pooling that it takes; until the files are here, that its family has.
        image_size: Size of the input it was made for, as the files, the name or the description
            say.
        remarks: What is done with pixels that its files do not say; nothing until they are here.
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
    pooling: str
    poolings: tuple[str, ...]
    image_size: ImageSize | None
    remarks: tuple[str, ...]


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
        _listed(name, published)
        for name, published in published_presets().items()
        if family is None or published.family.name == family
    ]
    return sorted(listed, key=lambda each: (each.family.name, each.parameters or 0, each.name))


def _listed(name: str, published: PublishedPreset) -> ListedPreset:
    about, family = published.about, published.family
    folder = find_preset(name)
    here = None if folder is None else read_preset(HUB + name)
    return ListedPreset(
        name=HUB + name,
        family=family,
        parameters=about.get("params"),
        license=published.license or MODEL_PAGE,
        page=published.page,
        description=" ".join(about.get("description", "").split()),
        folder=folder,
        target=published.target,
        feature_size=family.width_in_name(name) if here is None else here.feature_size,
        pooling=(here or family).pooling,
        poolings=(here or family).poolings,
        image_size=_side_in(name, about) if here is None else here.image_size,
        remarks=() if here is None else here.remarks,
    )


def _side_in(name: str, about: Mapping[str, Any]) -> int | None:
    """Return the image size that a preset's name says, or else its description."""
    text = f"{name}_ {about.get('description', '')}"
    found = [re.search(pattern, text) for pattern in SIDES]
    return next((int(match.group(1)) for match in found if match), None)
