"""Presets of keras-hub by name, ``hub:NAME``: found on this disk and read without keras-hub.

A preset is a folder with ``config.json`` (the class and its arguments), the weights and usually
``image_converter.json`` (how pixels become the input). A name is looked up where keras-hub
downloads to: in the cache of kagglehub, then in that of Hugging Face. Anything with a slash, or
that is a folder here, is the path of such a folder, as ``backbone.save_to_preset(folder)`` writes
it.

Loading keras-hub takes seconds; settings are checked against what the folder says, without it.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrieval.errors import UserError, did_you_mean
from retrieval.models.families import FAMILIES, Family
from retrieval.models.folders import hugging_face_models, kagglehub_models
from retrieval.models.published_presets import PublishedPreset, published_presets
from retrieval.validation import ImageSize, as_size, sides_of

HUB = "hub:"
CONFIG, CONVERTER = "config.json", "image_converter.json"
WEIGHTS = ("model.weights.h5", "model.weights.json")  # in one file, or the index of several
# Of keras-hub's image converter: how it resizes, with its defaults.
CONVERTED = {
    "crop_to_aspect_ratio": True,
    "pad_to_aspect_ratio": False,
    "interpolation": "bilinear",
    "antialias": False,
}
USUAL_SIDE = 224  # of a preset that says no size


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A preset of keras-hub on this disk.

    Attributes:
        name: As it was given, ``hub:NAME`` or ``hub:FOLDER``.
        folder: The folder of its files.
        family: What is known of all presets of its class.
        network: The class and arguments of the image network, as keras-hub stores them: of a model
            with a text tower, its image tower.
        projection: Width of the projection of images beside texts; None if there is none.
        converter: Arguments of its image converter; None if the folder has none.
    """

    name: str
    folder: Path
    family: Family
    network: Mapping[str, Any]
    projection: int | None
    converter: Mapping[str, Any] | None

    @property
    def config(self) -> Mapping[str, Any]:
        """Arguments of the image network."""
        arguments: Mapping[str, Any] = self.network["config"]
        return arguments

    @property
    def image_size(self) -> ImageSize:
        """The size of the input that the preset was made for."""
        given = self.config.get("image_shape") or ()
        sides = [side for side in given[:2] if side]
        if len(sides) < 2 and self.converter is not None:
            sides = [side for side in self.converter.get("image_size") or () if side]
        return as_size((int(sides[0]), int(sides[1]))) if len(sides) == 2 else USUAL_SIDE

    @property
    def patch(self) -> tuple[int, int] | None:
        """Height and width of a patch; None if the network does not cut images into tokens."""
        size = self.config.get("patch_size")
        if not self.family.tokens or size is None:
            return None
        return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))

    @property
    def prefix_tokens(self) -> int:
        """Number of tokens before those of the patches."""
        return self.family.prefix_tokens(self.config)

    @property
    def poolings(self) -> tuple[str, ...]:
        """The values of ``--pooling`` that it takes."""
        classless = self.family.class_token and self.prefix_tokens == 0  # a ViT without the token
        return tuple(p for p in self.family.poolings if not (classless and "cls" in p))

    @property
    def pooling(self) -> str:
        """The pooling of its paper."""
        return self.family.pooling if self.family.pooling in self.poolings else "average"

    @property
    def feature_size(self) -> int | None:
        """Width of the paper's pooled output; None if only the built network tells."""
        if self.pooling == "head" and self.projection is not None:
            return self.projection
        width = self.config.get("hidden_dim")
        return int(width) if self.family.tokens and width is not None else None

    def standardization(self) -> tuple[list[float], list[float]]:
        """Return scale and offset per channel that make the network's input of pixels in 0..255.

        They are those of the preset's image converter. A folder without one, as
        ``backbone.save_to_preset`` writes it, takes the mean and deviation of its family's paper.
        """
        if self.converter is None:
            mean, std = self.family.mean, self.family.std
            scale = [1 / (255 * s) for s in std]
            return scale, [-m / s for m, s in zip(mean, std, strict=True)]
        given = self.converter
        scale = _per_channel(given.get("scale"), 1.0)
        if "variance" not in given:
            return scale, _per_channel(given.get("offset"), 0.0)
        deviations = [math.sqrt(v) for v in given["variance"]]  # in keras-hub's older files
        offset = [-m / s for m, s in zip(given["mean"], deviations, strict=True)]
        return [whole / s for whole, s in zip(scale, deviations, strict=True)], offset

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is done with pixels that the preset's files do not say, one line each."""
        if self.converter is None:
            mean, std = (
                ", ".join(f"{v:.3g}" for v in each) for each in (self.family.mean, self.family.std)
            )
            return (
                f"{self.name} has no {CONVERTER}: pixels are scaled by the mean ({mean}) and the "
                f"deviation ({std}) of {self.family.paper}; put the file of your training into the "
                "folder if it scaled them otherwise",
            )
        own = {name: self.converter.get(name, usual) for name, usual in CONVERTED.items()}
        ways = [
            "crops to the aspect ratio" if own["crop_to_aspect_ratio"] else "",
            "pads to the aspect ratio" if own["pad_to_aspect_ratio"] else "",
            f"resizes by {own['interpolation']}" if own["interpolation"] != "bilinear" else "",
            "with antialiasing" if own["antialias"] else "",
        ]
        given = ", ".join(filter(None, ways))
        if not given:
            return ()
        return (
            f"{self.name}: its image converter {given}; that is not followed: as for every "
            "backbone, whole images are resized to --image-size, bilinearly or by averaging areas "
            "(--pre-crop cuts out their center)",
        )

    def check_size(self, image_size: ImageSize) -> None:
        """Refuse a size of the input that the architecture does not allow.

        Raises:
            UserError: Names the nearest size that it does allow.
        """
        height, width = sides_of(image_size)
        patch = self.patch
        if self.family.square and height != width:
            step = patch[0] if patch else 1
            side = max(1, round(math.sqrt(height * width) / step)) * step
            raise UserError(
                f"{self.name} takes square images only, because keras-hub's {self.family.name} "
                f"does: give an --image-size such as {side} instead of {as_size((height, width))}"
            )
        if patch and (height % patch[0] or width % patch[1]):
            near = (
                max(1, round(height / patch[0])) * patch[0],
                max(1, round(width / patch[1])) * patch[1],
            )
            raise UserError(
                f"{self.name} cuts images into patches of {as_size(patch)} px: give an "
                f"--image-size that is a multiple of it, such as {as_size(near)}"
            )

    def check_pooling(self, pooling: str) -> None:
        """Refuse a pooling that the family does not have.

        Raises:
            UserError: Names those that it has.
        """
        if pooling not in self.poolings:
            raise UserError(
                f"--pooling {pooling}: {self.name} ({self.family.name}) has none; give one of "
                f"{', '.join(self.poolings)}"
            )

    def files(self) -> list[Path]:
        """Return the files that decide what the image network computes."""
        names = [CONFIG, CONVERTER, *WEIGHTS]
        parts = sorted(self.folder.glob("model_*.weights.h5"))
        return [*(self.folder / name for name in names), *parts]


def is_preset(name: str) -> bool:
    """Tell whether the name of a backbone is that of a preset, ``hub:...``."""
    return name.startswith(HUB)


def find_preset(name: str) -> Path | None:
    """Return the folder of a preset that is whole on this disk; None if there is none.

    Args:
        name: The name of a preset, or a folder, without ``hub:``.
    """
    folder = Path(name).expanduser()
    if is_folder_name(name):
        return folder if _is_whole(folder) else None
    kaggle = kagglehub_models().glob(f"*/[kK]eras/{name}/*")
    face = (hugging_face_models() / f"models--keras--{name}" / "snapshots").glob("*")
    found = [*sorted(kaggle, key=_version, reverse=True), *sorted(face)]
    return next((each for each in found if _is_whole(each)), None)


def is_folder_name(name: str) -> bool:
    """Tell whether a name is the path of a folder rather than the name of a published preset."""
    return "/" in name or "\\" in name or name.startswith((".", "~")) or Path(name).is_dir()


def read_preset(name: str) -> Preset:
    """Read what a preset says about itself.

    Args:
        name: ``hub:NAME`` or ``hub:FOLDER``.

    Returns:
        The preset.

    Raises:
        UserError: It is not on this disk, its files are damaged, or it is no image backbone.
    """
    short = name.removeprefix(HUB)
    folder = find_preset(short)
    if folder is None:
        raise _not_here(short)
    whole = _read(folder / CONFIG)
    family = FAMILIES.get(str(whole.get("class_name")))
    if family is None:
        raise UserError(
            f"{folder / CONFIG}: {whole.get('class_name', 'a file of another program')} is no "
            "image backbone of keras-hub; `retrieval backbones` lists them"
        )
    arguments = whole.get("config")
    network = arguments.get("vision_encoder") if family.two_towers and arguments else whole
    if not isinstance(network, dict) or not isinstance(network.get("config"), dict):
        raise UserError(f"{folder / CONFIG}: says no arguments of the network: fetch it again")
    projection = (arguments or {}).get("projection_dim") if family.two_towers else None
    converter = None
    if (folder / CONVERTER).exists():
        converter = _read(folder / CONVERTER).get("config")
        if not isinstance(converter, dict):
            raise UserError(f"{folder / CONVERTER}: says no arguments: fetch it again")
    return Preset(
        name=name,
        folder=folder,
        family=family,
        network=network,
        projection=projection,
        converter=converter,
    )


def _not_here(short: str) -> UserError:
    """Return the one line on a preset that is not on this disk: what to fetch, and where to."""
    if is_folder_name(short):
        folder = Path(short).expanduser()
        if not folder.is_dir():
            return UserError(f"{HUB}{short}: no such folder; give that of a keras-hub preset")
        lacks = CONFIG if not (folder / CONFIG).is_file() else " or ".join(WEIGHTS)
        return UserError(
            f"{HUB}{short}: the folder has no {lacks}: write a preset into it with "
            "backbone.save_to_preset(folder)"
        )
    published = published_presets()
    if short not in published:
        return UserError(
            f"unknown preset {short!r} of keras-hub: {did_you_mean(short, published)}"
            "`retrieval backbones` lists those that embed images; a folder is given as hub:./FOLDER"
        )
    return UserError(
        f"{HUB}{short} is not on this disk: `retrieval fetch weights {HUB}{short}` downloads it; "
        f"without a network, {fetched_elsewhere(published[short])}, or give their folder as "
        f"{HUB}FOLDER"
    )


def fetched_elsewhere(published: PublishedPreset) -> str:
    """Say what to fetch on another machine, and where to put it on this one."""
    page = published.handle.rpartition("/")[0]
    return f"fetch kaggle.com/models/{page} elsewhere and put its files into {published.target}"


def _is_whole(folder: Path) -> bool:
    return (folder / CONFIG).is_file() and any((folder / name).is_file() for name in WEIGHTS)


def _version(folder: Path) -> int:
    return int(folder.name) if folder.name.isdecimal() else -1


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: not readable ({error}): fetch the preset again") from error
    if not isinstance(content, dict):
        raise UserError(f"{file}: holds no mapping: fetch the preset again")
    return content


def _per_channel(value: float | Sequence[float] | None, default: float) -> list[float]:
    if value is None:
        return [default] * 3
    return [float(v) for v in value] if isinstance(value, Sequence) else [float(value)] * 3
