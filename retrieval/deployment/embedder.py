"""Embed any images from Python with a trained run: files, bytes, arrays and Pillow images.

>>> model = load_embedder("runs/grocery/npairs_loss")        # doctest: +SKIP
>>> model.embed(["a.jpg", "b.jpg"]).shape                    # doctest: +SKIP
(2, 512)
"""

import functools
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from PIL import Image, ImageOps
from tqdm.auto import tqdm

from retrieval.deployment.text import AS_GIVEN, embed_texts, load_text_tower_of
from retrieval.embedding.embed import (
    IMAGE_BATCH,
    combine_views,
    embed_pictures,
    embed_views,
    network_of_views,
)
from retrieval.errors import UserError
from retrieval.experiment.pipeline import with_views
from retrieval.files import checksum, fingerprint
from retrieval.input_pipeline.test_time import parse_views, view_names
from retrieval.models.text_tower import TextTower
from retrieval.quiet import import_tensorflow
from retrieval.runs.embedding_source import Source
from retrieval.runs.mirrors import named
from retrieval.runs.run import Run
from retrieval.runs.store import check_there
from retrieval.settings.schema import UNTRAINED, TrainSettings
from retrieval.storage.addresses import is_url
from retrieval.training.checkpoints import WEIGHTS, rebuilt_index, step_folder
from retrieval.training.embedder import chosen_step, load_whole_network
from retrieval.validation import check_integer

Picture = str | bytes | np.ndarray  # a path, the bytes of a file, or pixels uint8 (H, W, 3)
AnImage = str | os.PathLike[str] | bytes | np.ndarray | Image.Image
KINDS = "give paths, bytes of image files, uint8 arrays (H, W, 3) or Pillow images"
GRAY = "of gray pixels, make RGB by np.stack([pixels] * 3, axis=-1)"
# Settings that make a network, besides its stored weights, and how it is run.
OF_THE_NETWORK = ("backbone", "weights", "pooling", "head", "embedding_size", "normalize")


@dataclass(frozen=True)
class ChosenNetwork:
    """Which network of a run embeds, and how; nothing of it is loaded.

    Attributes:
        settings: Resolved settings of the run, with the test-time views that were asked for.
        path: Folder of the run.
        step: Step of the checkpoint; None for an untrained network.
        digest: Checksum of the checkpoint's weights; 0 for an untrained network.
    """

    settings: TrainSettings
    path: Path
    step: int | None
    digest: int

    @property
    def views(self) -> list[str]:
        """Names of the V test-time views; one without any."""
        return view_names(parse_views(self.settings.test_time))

    def source(self, width: int) -> Source:
        """Return what vectors of this network, of D dimensions, are made with."""
        return _source(self.path, self.settings, self.step, self.digest, width)


def choose_network(
    run: Path | str,
    checkpoint: str | None = None,
    *,
    test_time: str | None = None,
    test_time_mean: str | None = None,
) -> ChosenNetwork:
    """Return which network :func:`load_embedder` loads, which takes the same arguments.

    Raises:
        UserError: There is no such run or checkpoint, or it was imported and has no network.
    """
    path = folder_of(run)
    settings = settings_of(path, test_time, test_time_mean)
    step = chosen_step(path, settings, checkpoint)
    return ChosenNetwork(settings, path, step, _digest_of(path, step))


@dataclass(frozen=True, repr=False)
class Embedder:
    """A run's network, with the preprocessing, pooling and test-time views of the run.

    Attributes:
        network: Images (B, H, W, 3) in 0..255 to embeddings (B, D).
        settings: Resolved settings of the run.
        path: Folder of the run.
        step: Step of the checkpoint; None for an untrained network.
        digest: Checksum of the checkpoint's weights; 0 for an untrained network.
    """

    network: keras.Model
    settings: TrainSettings
    path: Path
    step: int | None = None
    digest: int = 0

    def __repr__(self) -> str:
        """Name the run, the checkpoint and what was trained; ``settings`` holds everything."""
        made = self.settings
        parts = [
            f"run {str(self.path)!r}",
            "untrained" if self.step is None else f"loss {made.loss}, step {self.step:,}",
            f"backbone {made.backbone}",
            f"{self.width} dimensions",
            f"distance {made.distance}",
        ]
        return f"<Embedder: {', '.join(parts)}>"

    @property
    def views(self) -> list[str]:
        """Names of the V test-time views; one without any."""
        return view_names(parse_views(self.settings.test_time))

    @property
    def width(self) -> int:
        """Dimension D of the embeddings."""
        return int(self.network.output_shape[-1])

    @property
    def source(self) -> Source:
        """What vectors of this embedder are made with."""
        return _source(self.path, self.settings, self.step, self.digest, self.width)

    def embed(
        self,
        images: AnImage | Iterable[AnImage],
        batch_size: int = IMAGE_BATCH,
        *,
        boxes: np.ndarray | None = None,
        progress: bool = False,
    ) -> np.ndarray:
        """Embed images as the run embeds its own.

        Files and their bytes are decoded as the run decodes its test images, and give the same
        vectors. Arrays and Pillow images are resized by the same rule; where a file is a large JPEG
        its own decoder shrinks the pixels first, which changes a vector slightly.

        Args:
            images: One image or several, of any sizes: paths; bytes of image files; uint8 arrays
                (H, W, 3) in RGB, or one array (n, H, W, 3); Pillow images.
            batch_size: Images per batch, at least 1. Defaults to 64, which the run used.
            boxes: (n, 4), crops x, y, width, height in pixels, for paths only. Defaults to None,
                whole images.
            progress: Whether to show a progress bar. Defaults to False.

        Returns:
            float32, (n, D), of unit length if the run normalizes; n is 1 for a single image.

        Raises:
            UserError: An image cannot be read or is no such image, or its embedding is not finite.
        """
        batch_size = check_integer("batch_size", batch_size, least=1)
        pictures = [_picture(image, place) for place, image in enumerate(_several(images))]
        if boxes is not None:
            boxes = _checked_boxes(boxes, pictures)
        if not pictures:
            return np.empty((0, self.width), np.float32)
        parts = []
        with (
            tqdm(
                total=len(pictures), desc="embedding", unit="img", disable=not progress, leave=False
            ) as bar,
            ThreadPoolExecutor(os.cpu_count()) as pool,
        ):
            for views in self._views_of(pictures, batch_size, boxes, pool):
                parts.append(self.combine(views))
                bar.update(len(views))
        embeddings = np.concatenate(parts).astype(np.float32)
        check_finite(embeddings, [p if isinstance(p, str) else "" for p in pictures])
        return embeddings

    @functools.cached_property
    def text_tower(self) -> TextTower:
        """The text tower of the run's backbone, loaded on first use.

        Raises:
            UserError: Texts are not in the space of the run's images, and why.
        """
        return load_text_tower_of(self.settings, self.path)

    def embed_texts(self, texts: Sequence[str], prompt: str = AS_GIVEN) -> np.ndarray:
        """Embed texts into the space of the run's images, to search them by the cosine.

        Args:
            texts: n texts, in the words of the preset's training: CLIP and SigLIP read English and
                lower case. What the tower does not read of a long text is cut off, see
                :func:`retrieval.deployment.text.cut_texts`.
            prompt: Template that each text is put into, such as ``"a photo of {}"``. Defaults to
                ``"{}"``, the text alone.

        Returns:
            float32, (n, D), of unit length.

        Raises:
            UserError: Texts are not in the space of the run's images: its backbone has no text
                tower, its pooling is not ``head``, or a head was trained on top.
        """
        return embed_texts(self.text_tower, texts, [prompt])

    def _views_of(
        self,
        pictures: Sequence[Picture],
        batch_size: int,
        boxes: np.ndarray | None,
        pool: ThreadPoolExecutor,
    ) -> Iterator[np.ndarray]:
        for are_files, group in itertools.groupby(pictures, lambda each: isinstance(each, str)):
            if are_files:
                files = [each for each in group if isinstance(each, str)]
                yield from embed_views(self.network, files, boxes, self.settings, batch_size)
                continue
            shown = [each for each in group if not isinstance(each, str)]
            for start in range(0, len(shown), batch_size):
                part = shown[start : start + batch_size]
                yield embed_pictures(self.network, part, self.settings, pool)

    def embed_views(self, files: Sequence[str]) -> Iterator[np.ndarray]:
        """Yield the embeddings of the next b image files, (b, V, D), until all are embedded.

        Raises:
            UserError: An image cannot be read.
        """
        yield from embed_views(self.network, files, None, self.settings)

    def combine(self, views: np.ndarray) -> np.ndarray:
        """Return one embedding per image: (b, V, D) to (b, D)."""
        return combine_views(views, self.settings)


def check_finite(embeddings: np.ndarray, names: Sequence[str]) -> None:
    """Refuse embeddings (n, D) that are not finite; names the first image, or its place from 0.

    Raises:
        UserError: An embedding is NaN or infinite.
    """
    bad = ~np.isfinite(embeddings).all(axis=1)
    if bad.any():
        row = int(np.argmax(bad))
        raise UserError(
            f"{names[row] or f'image {row}'}: its embedding is not finite; use another checkpoint"
        )


def load_embedder(
    run: Path | str,
    checkpoint: str | None = None,
    *,
    test_time: str | None = None,
    test_time_mean: str | None = None,
) -> Embedder:
    """Load the network of a run to embed any images with.

    Args:
        run: The folder of a trained run, or of one of an untrained network; or its URL.
        checkpoint: ``latest``, ``best`` or the step of any kept checkpoint. Defaults to that of the
            run's settings.
        test_time: Test-time views, e.g. ``flip+five_crop``. Defaults to the run's own.
        test_time_mean: Average over the views, ``normalized`` or ``plain``. Defaults to the run's
            own.

    Returns:
        The embedder.

    Raises:
        UserError: There is no such run or checkpoint, it was imported and has no network, or the
            checkpoint is damaged.
    """
    path = folder_of(run)
    settings = settings_of(path, test_time, test_time_mean)
    import_tensorflow()  # its search for devices would print lines in a notebook
    network, step = load_whole_network(path, settings, checkpoint, mixed=settings.mixed_precision)
    digest = _digest_of(path, step)
    return Embedder(network_of_views(network, settings), settings, path, step, digest)


def folder_of(run: Path | str) -> Path:
    """Return the folder of a run, all of whose files are fetched first if a URL is given."""
    return named(run, whole=True) if is_url(run) else Path(run)


def settings_of(
    run: Path, test_time: str | None = None, test_time_mean: str | None = None
) -> TrainSettings:
    """Return the settings that a run's images are embedded with; nothing is loaded yet.

    Args:
        run: The run's folder.
        test_time: See :func:`load_embedder`. Defaults to the run's own.
        test_time_mean: See :func:`load_embedder`. Defaults to the run's own.

    Raises:
        UserError: There is no such run, or it has no network.
    """
    check_there(run)
    if not (run / "config.yaml").exists():
        raise UserError(f"no run at {run}: train one with `retrieval train`")
    return with_views(Run(run).network_settings(), test_time, test_time_mean, whole_network=True)


def source_of_run(run: Run) -> Source | None:
    """Return what the embeddings that a run stores were made with.

    Args:
        run: The run.

    Returns:
        The source; None if the embeddings were imported, or the checkpoint is no longer there.
    """
    if run.settings is None or run.unknown_settings or not run.has_embeddings:
        return None
    settings, step = run.settings, None
    if settings.loss != UNTRAINED:
        index = rebuilt_index(run.path / "checkpoints")
        step = index.get(settings.use_checkpoint, index.get("latest"))
        if step is None or not (step_folder(run.path / "checkpoints", step) / WEIGHTS).exists():
            return None
    width = int(run.embeddings.shape[1])
    return _source(run.path, settings, step, _digest_of(run.path, step), width)


def _digest_of(path: Path, step: int | None) -> int:
    return 0 if step is None else checksum([step_folder(path / "checkpoints", step) / WEIGHTS])


def _source(
    path: Path, settings: TrainSettings, step: int | None, digest: int, width: int
) -> Source:
    made = {name: getattr(settings, name) for name in OF_THE_NETWORK}
    if settings.weights == "none":
        made["seed"] = settings.seed  # which a frozen random backbone is drawn from
    return Source(
        run=str(path.resolve()),
        network=fingerprint(made, step, digest, width),
        step=step,
        width=width,
        distance=settings.distance,
        image_size=str(settings.image_size),
        pre_crop=None if settings.pre_crop is None else str(settings.pre_crop),
        test_time=settings.test_time,
        test_time_mean=settings.test_time_mean,
    )


def _several(images: AnImage | Iterable[AnImage]) -> Iterable[AnImage]:
    if isinstance(images, str | os.PathLike | bytes | Image.Image):
        return [images]
    if isinstance(images, np.ndarray) and images.dtype.kind in "biufc" and images.size:
        return images if images.ndim == 4 else [images]  # one of another shape is refused whole
    if not isinstance(images, Iterable):
        raise UserError(f"images: {type(images).__name__} is no image; {KINDS}")
    return images


def _picture(image: AnImage, place: int) -> Picture:
    if isinstance(image, bytes):
        return image
    if isinstance(image, str | os.PathLike):
        return os.fspath(image)
    if isinstance(image, Image.Image):
        try:
            image = ImageOps.exif_transpose(image).convert("RGB")
        except OSError as error:
            raise UserError(f"image {place}: {' '.join(str(error).split())}") from error
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        gray = f"; {GRAY}" if pixels.ndim == 2 else ""
        raise UserError(
            f"image {place}: has shape {pixels.shape} and dtype {pixels.dtype}; {KINDS}{gray}"
        )
    return pixels


def _checked_boxes(boxes: np.ndarray, pictures: Sequence[Picture]) -> np.ndarray:
    boxes = np.asarray(boxes, np.float64)
    if boxes.shape != (len(pictures), 4):
        raise UserError(f"boxes: shape {boxes.shape}, expected ({len(pictures)}, 4)")
    if not all(isinstance(picture, str) for picture in pictures):
        raise UserError("boxes are for paths: crop the arrays before")
    return boxes
