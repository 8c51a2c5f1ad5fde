"""The licenses of pretrained weights, as far as those who publish them say."""

from retrieval.models.presets import HUB, is_folder_name, is_preset
from retrieval.models.published_presets import published_presets
from retrieval.models.registry import BACKBONES, backbone_of

IMAGENET_TERMS = "ImageNet's terms of access: non-commercial research"


def license_of_weights(backbone: str) -> str:
    """Say under which license the pretrained weights of a backbone are.

    Of a published preset, this loads keras-hub.

    Args:
        backbone: A key of :data:`retrieval.models.BACKBONES`, ``hub:NAME`` or ``hub:FOLDER``.

    Returns:
        Words; they begin with "unknown" where it is not known, and say whom to ask.

    Raises:
        UserError: The backbone is unknown, or a preset in a folder is not there.
    """
    if not is_preset(backbone):
        entry = BACKBONES[backbone]
        known = f"{entry.license or 'unknown: ask the authors'} ({entry.source})"
        return f"{known}; {IMAGENET_TERMS}" if entry.of_imagenet else known
    short = backbone.removeprefix(HUB)
    published = None if is_folder_name(short) else published_presets().get(short)
    if published is not None:
        source = f"{published.family.paper}; {published.page}"
        return f"{published.license or 'unknown: see the page of the model'} ({source})"
    preset = backbone_of(backbone).preset
    assert preset is not None
    family = preset.family
    usual = f"; what its authors published is under {family.license}" if family.license else ""
    return f"unknown: ask whoever made {short} ({family.paper}{usual})"
