"""The image that the user gave last: it outlives the box that it was dropped in."""

from dataclasses import dataclass, field

import numpy as np

from workbench.data.network import OwnImage
from workbench.session.state import Value


@dataclass(frozen=True)
class GivenImage:
    """An image of the user, with what is needed to show its results again.

    Attributes:
        name: Name of its file.
        image: The image; its picture is reduced to what is shown.
        size: Width and height of the picture as it was given, as text.
        vectors: (path of a run, stamp of its files) -> embedding of the image, float32 (D,).
    """

    name: str
    image: OwnImage
    size: str
    vectors: dict[tuple, np.ndarray] = field(default_factory=dict)


GIVEN_IMAGE = Value[GivenImage | None]("_given_image", None)
