"""Texts as queries: where a run's images lie in the space of the text tower of its backbone.

CLIP, MetaCLIP 2 and SigLIP compare a text and an image by the cosine of what two networks project
them to. A text can search the images of a run whose embedding is that projection: of an untrained
network, or of one that was trained further without another head (``--head none``). Nothing here
loads TensorFlow before a text is embedded.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from retrieval.datasets.image_files import is_image_name
from retrieval.errors import UserError
from retrieval.models import HEADS, backbone_of
from retrieval.models.families import FAMILIES
from retrieval.models.presets import HUB, find_preset, is_preset
from retrieval.models.text_tower import TextTower, load_text_tower
from retrieval.settings.schema import UNTRAINED, TrainSettings
from retrieval.validation import DEFAULT_DISTANCE

PLACE = "{}"  # of the text in a prompt
AS_GIVEN = PLACE  # the prompt of a query that somebody types
HEAD = "head"  # the pooling by the projection that a preset was trained with
UNTRAINED_RUN = "make a run of the untrained network: `retrieval train --dataset NAME --loss none"


def why_no_text(settings: TrainSettings) -> str | None:
    """Say why texts cannot search the images of a run, and what to use instead.

    Args:
        settings: Resolved settings of the run.

    Returns:
        One sentence without a full stop; None if texts are in the space of its images.

    Raises:
        UserError: The backbone is unknown, or its preset is damaged.
    """
    name = settings.backbone
    if is_preset(name) and find_preset(name.removeprefix(HUB)) is None:  # looked for cheaply
        return (
            f"the files of {name} are no longer on this disk: put them back; those of a published "
            f"preset come by `retrieval fetch weights {name}`"
        )
    preset = backbone_of(name).preset
    if preset is None or not preset.family.two_towers:
        names = ", ".join(each.name for each in FAMILIES.values() if each.two_towers)
        return (
            f"{settings.backbone} has no text tower; {UNTRAINED_RUN} --backbone hub:NAME` with a "
            f"preset of {names} (`retrieval backbones` lists them)"
        )
    again = f"{UNTRAINED_RUN} --backbone {settings.backbone}`"
    if settings.weights != "imagenet":
        given = "random" if settings.weights == "none" else f"those of {settings.weights}"
        return (
            f"the weights of its image tower are {given}, and the text tower of "
            f"{settings.backbone} was not trained with them; {again}"
        )
    if settings.pooling != HEAD:
        return (
            f"its images are pooled by {settings.pooling}, and texts lie beside images of pooling "
            f"{HEAD}, the projection that {settings.backbone} was trained with; {again}"
        )
    if settings.loss != UNTRAINED and HEADS[settings.head].linear:
        return (
            f"a head ({settings.head}) was trained on top of the projection, so texts are not in "
            f"its space; {again}, or train with --head none"
        )
    return None


def check_text(settings: TrainSettings, run: Path) -> None:
    """Refuse texts as queries of a run that they are not in the space of.

    Raises:
        UserError: See :func:`why_no_text`.
    """
    if (why := why_no_text(settings)) is not None:
        raise UserError(f"{run}: no search by text: {why}")


def check_text_distance(distance: str, where: Path | str) -> None:
    """Refuse to compare texts and images by another distance than the cosine of their training.

    Args:
        distance: The distance of what is searched.
        where: What is searched, for the message.

    Raises:
        UserError: It is another one.
    """
    if distance != DEFAULT_DISTANCE:
        raise UserError(
            f"{where}: its vectors are compared by {distance} distance, and texts and images were "
            f"trained by {DEFAULT_DISTANCE}: `retrieval evaluate RUN --distance {DEFAULT_DISTANCE}`"
        )


def trained_further(settings: TrainSettings) -> str | None:
    """Say that only the image tower of a run was trained further; None for an untrained network."""
    if settings.loss == UNTRAINED or settings.freeze_backbone:
        return None
    return (
        "its image tower was trained further, and its text tower was not: texts may lie off their "
        "images"
    )


def load_text_tower_of(settings: TrainSettings, run: Path) -> TextTower:
    """Load the text tower of a run's backbone.

    Args:
        settings: Resolved settings of the run.
        run: The run's folder, for messages.

    Returns:
        The tower.

    Raises:
        UserError: Texts are not in the space of the run's images, or the tower does not load.
    """
    check_text(settings, run)
    preset = backbone_of(settings.backbone).preset
    assert preset is not None
    return load_text_tower(preset)


def embed_texts(
    tower: TextTower, texts: Sequence[str], prompts: Sequence[str] = (AS_GIVEN,)
) -> np.ndarray:
    """Embed texts, each within one prompt or several.

    Args:
        tower: The text tower.
        texts: n texts.
        prompts: Templates such as ``"a photo of a {}"``. Of several, the unit vectors of a text
            are averaged and scaled to unit length again, as in section 3.1.4 of Radford et al.
            (2021). Defaults to the text as it is given.

    Returns:
        float32, (n, D), of unit length.

    Raises:
        UserError: A text is empty, or a prompt has not one place for it.
    """
    texts = checked_texts(texts)
    each = [tower.embed([prompt.replace(PLACE, t) for t in texts]) for prompt in checked(prompts)]
    if len(each) == 1:
        return each[0]
    mean = np.mean(each, axis=0, dtype=np.float64)
    return (mean / np.linalg.norm(mean, axis=1, keepdims=True)).astype(np.float32)


def cut_texts(
    tower: TextTower, texts: Sequence[str], prompts: Sequence[str] = (AS_GIVEN,)
) -> list[str]:
    """Say which texts are longer than the tower reads.

    Args:
        tower: The text tower.
        texts: The texts.
        prompts: Their prompts. Defaults to none.

    Returns:
        At most one line.
    """
    cut: dict[str, None] = {}
    for prompt in prompts if texts else ():
        over = tower.is_cut([prompt.replace(PLACE, text) for text in texts])
        cut |= dict.fromkeys(text for text, is_cut in zip(texts, over, strict=True) if is_cut)
    if not cut:
        return []
    more = f" and {len(cut) - 1:,} more" if len(cut) > 1 else ""
    first = next(iter(cut))[:60]
    return [f"cut to the {tower.length} tokens that the text tower reads: {first!r}{more}"]


def checked(prompts: Sequence[str]) -> list[str]:
    """Return prompts after checking that each has one place for the text.

    Raises:
        UserError: Names the prompt that has none, or several.
    """
    if not prompts:
        raise UserError(f"give at least one prompt, such as 'a photo of a {PLACE}'")
    for prompt in prompts:
        if prompt.count(PLACE) != 1:
            raise UserError(
                f"--prompt {prompt!r}: write {PLACE} once where the text goes, as in "
                f"'a photo of a {PLACE}'"
            )
    return list(prompts)


def checked_texts(texts: Sequence[str]) -> list[str]:
    """Return texts after checking that they are some.

    Raises:
        UserError: One is empty or no text.
    """
    if isinstance(texts, str):
        raise UserError(f"give a list of texts: [{texts!r}]")
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            raise UserError(f"text {place}: {type(text).__name__} is no text")
        if not text.strip():
            raise UserError(f"text {place}: empty; write what to search for")
    return list(texts)


def is_text(query: str) -> bool:
    """Tell whether a query that somebody typed is a text, and not the path of an image.

    What exists is a path, and so is what looks like one: it ends like an image file, or has a slash
    and no space.

    >>> is_text("red shoes"), is_text("shoes.jpg"), is_text("photos/7")
    (True, False, False)
    """
    if is_image_name(query) or ("/" in query and " " not in query):
        return False
    try:
        return not Path(query).exists()
    except (OSError, ValueError):  # longer than a file's name may be
        return True
