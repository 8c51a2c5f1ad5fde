"""Use a run's network in the app: explain a match, embed an image that the user gives.

Everything else in the app works without a network. TensorFlow takes seconds to import, so it is
imported when a network is first used.
"""

import contextlib
import io
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from PIL import Image, ImageOps

from retrieval.datasets.catalog import crop_boxes
from retrieval.datasets.image_files import FORMATS, HEAD_BYTES, format_problem
from retrieval.deployment.text import (
    check_text_distance,
    cut_texts,
    embed_texts,
    load_text_tower_of,
    trained_further,
    why_no_text,
)
from retrieval.errors import UserError
from retrieval.runs.mirrors import fetch_when_read
from retrieval.runs.resume import check_dataset_unchanged
from retrieval.runs.run import Run
from retrieval.runs.thumbnails import eight_bits
from retrieval.settings.schema import UNTRAINED
from workbench.data.images import check_pixels, memory_for, opened, picture_path
from workbench.data.loading import stamp
from workbench.data.memory import freeze_garbage_collection

MOST_BYTES = 20 * 1024 * 1024


def reason_without_network(run: Run) -> str | None:
    """Return why a run's network cannot be used, in one sentence; None if it can."""
    try:
        settings = run.network_settings()
    except UserError as error:
        return f"{error}."
    if settings.loss != UNTRAINED and not (run.path / "checkpoints" / "index.json").exists():
        return f"{run.name} has no checkpoint: its network was not saved."
    return None


def is_loaded() -> bool:
    """Return whether TensorFlow is loaded, so that using a network is fast."""
    return "tensorflow" in sys.modules


@st.cache_resource(show_spinner="Loading the network …", max_entries=4)
def _inspector(path: str, stamp: tuple) -> Any:
    """Return the network, or the error that it fails with, so that a click does not try again."""
    from retrieval.quiet import import_tensorflow

    import_tensorflow()  # without its messages in the app's log
    from retrieval.training.inspection import open_inspector

    try:
        fetch_when_read(Path(path), "checkpoints/")
        found = open_inspector(Run(Path(path)))
        freeze_garbage_collection()
        return found
    except (ValueError, TypeError, KeyError, OSError):
        return UserError(
            f"{Path(path).name}: its checkpoint does not fit the network that its config.yaml "
            "describes, or is damaged: train it again to look into it"
        )


def inspector(run: Run) -> Any:
    """Return a run's network, which all sessions share.

    Args:
        run: The run whose network is used.

    Returns:
        A ``retrieval.training.inspection.Inspector``; naming the type would load TensorFlow.

    Raises:
        UserError: The run has no network, or its checkpoint cannot be loaded.
    """
    found = _inspector(str(run.path), stamp(run.path))
    if isinstance(found, UserError):
        raise found
    return found


@dataclass(frozen=True)
class Explanation:
    """The similarity of two images, attributed to their positions.

    Attributes:
        similarity: Cosine similarity of the two embeddings.
        first: float32, (h, w), contribution of each position of the first image.
        second: float32, (h, w), contribution of each position of the second image.
        method: How the contributions were computed: a ``Method`` of
            ``retrieval.training.inspection``. Only those of ``exact`` add up to the similarity.
        images: uint8, (2, H, W, 3), both images as the network sees them.
    """

    similarity: float
    first: np.ndarray
    second: np.ndarray
    method: str
    images: np.ndarray

    @property
    def exact(self) -> bool:
        """Whether the contributions of an image add up to the similarity."""
        return self.method == "exact"


@st.cache_resource(show_spinner="Checking the data set …", ttl=60, max_entries=64)
def _dataset_change(path: str, stamp: tuple) -> str | None:
    """Return in what the data set differs from the one that a run was trained on, if it does."""
    try:
        check_dataset_unchanged(Run(Path(path)))
    except UserError as error:
        return f"{error}."
    return None


@st.cache_resource(show_spinner="Comparing both images …", max_entries=256)
def _explain(_run: Run, path: str, stamp: tuple, first: int, second: int) -> Explanation:
    paths, largest = [], 0
    for row in (first, second):
        file = picture_path(_run, row)
        if file is None:
            raise UserError(f"the image file of item {row} is no longer in the data set's folder")
        unreadable = contextlib.suppress(OSError, ValueError, SyntaxError)  # loading it says so
        with unreadable, opened(file) as image:
            check_pixels(file.name, image)
            largest = max(largest, image.width * image.height)
        paths.append(file)
    if changed := _dataset_change(path, stamp):
        raise UserError(changed)
    network = inspector(_run)
    with memory_for(largest):
        images = network.load(paths, crop_boxes(_run.items.iloc[[first, second]]))
    found = network.match(images)
    return Explanation(
        similarity=found.similarity,
        first=found.first,
        second=found.second,
        method=found.method,
        images=images.astype(np.uint8),
    )


def explain(run: Run, first: int, second: int) -> Explanation:
    """Explain the similarity of two items under a run.

    Args:
        run: The run whose network is used.
        first: Row of the query.
        second: Row of the result.

    Returns:
        The explanation, which is cached.

    Raises:
        UserError: The run has no network, an image file is missing, or the data set has changed.
    """
    return _explain(run, str(run.path), stamp(run.path), first, second)


@dataclass(frozen=True)
class OwnImage:
    """An image that the user gave.

    Attributes:
        picture: The image in RGB, upright, for display.
        data: The image file for the network. If the input pipeline reads the format, it is the file
            as given, so that its embedding is the same as in the data set; otherwise, it is an
            upright PNG.
    """

    picture: Image.Image
    data: bytes


def check_image(data: bytes, name: str) -> OwnImage:
    """Open an image that the user gave, after checking its size and, by its content, its format.

    Args:
        data: Content of the file.
        name: Name of the file, for messages.

    Returns:
        The image.

    Raises:
        UserError: The file is too large, or it is not an image of a known format.
    """
    if len(data) > MOST_BYTES:
        raise UserError(f"{name}: {len(data) / 2**20:.0f} MB; give an image of at most 20 MB")
    try:
        with (
            Image.open(io.BytesIO(data), formats=tuple(FORMATS)) as image,
            memory_for(image.width * image.height),
        ):
            check_pixels(name, image)
            decoded = format_problem(image, data[:HEAD_BYTES]) is None
            picture = _upright(image)
            if decoded and (image.format == "JPEG" or "exif" not in image.info):
                return OwnImage(picture, data)
            buffer = io.BytesIO()
            picture.save(buffer, "PNG")
            return OwnImage(picture, buffer.getvalue())
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"{name}: not a readable image ({', '.join(FORMATS)})") from error


def _upright(image: Image.Image) -> Image.Image:
    """Return an image in RGB, rotated by its EXIF orientation as the input pipeline does."""
    return ImageOps.exif_transpose(eight_bits(image).convert("RGB"))


def embed_image(run: Run, image: OwnImage) -> np.ndarray:
    """Embed one image as the run's items were embedded.

    Args:
        run: A run with a network.
        image: The image, see :func:`check_image`.

    Returns:
        float32, (d,).

    Raises:
        UserError: The run has no network.
    """
    network = inspector(run)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image"
        path.write_bytes(image.data)
        return network.embed_files([path])[0]


def reason_without_text(run: Run) -> str | None:
    """Return why texts cannot search a run's images, in one sentence; None if they can.

    Only small files of the backbone's preset are read. The run's own network is not needed: its
    images are embedded.
    """
    try:
        why = why_no_text(run.network_settings())
        if why is None:
            check_text_distance(run.result().protocol.distance, run.path)
    except UserError as error:
        return f"{error}."
    return None if why is None else f"No search by text: {why}."


@dataclass(frozen=True)
class EmbeddedText:
    """A text in the space of a run's images.

    Attributes:
        vector: float32, (d,), of unit length.
        remarks: What may make its results worse, one line each.
    """

    vector: np.ndarray
    remarks: tuple[str, ...]


@st.cache_resource(show_spinner="Loading the text tower …", max_entries=2)
def _text_tower(backbone: str, _run: Run) -> Any:
    """Return the text tower of a backbone, or the error that it fails with."""
    from retrieval.quiet import import_tensorflow

    import_tensorflow()  # without its messages in the app's log
    try:
        found = load_text_tower_of(_run.network_settings(), _run.path)
    except UserError as error:
        return error
    freeze_garbage_collection()
    return found


@st.cache_resource(show_spinner=False, max_entries=256)
def _embedded_text(backbone: str, text: str, _run: Run) -> tuple[np.ndarray, list[str]]:
    tower = _text_tower(backbone, _run)
    if isinstance(tower, UserError):
        raise tower
    return embed_texts(tower, [text])[0], cut_texts(tower, [text])


def embed_text(run: Run, text: str) -> EmbeddedText:
    """Embed a text into the space of a run's images.

    Args:
        run: A run that texts can search, see :func:`reason_without_text`.
        text: The text, not empty.

    Returns:
        Its embedding, which is cached.

    Raises:
        UserError: The text tower does not load.
    """
    settings = run.network_settings()
    vector, remarks = _embedded_text(settings.backbone, text, run)
    further = trained_further(settings)
    return EmbeddedText(vector, (*remarks, *([further] if further else [])))
