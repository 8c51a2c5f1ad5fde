"""One part of very many images: checked, embedded and written, by whatever process is free.

A part does not depend on any other, and its batches begin with it. So its vectors are the same, bit
for bit, whoever embeds it and in whatever order: one process after the other, or the actors of a
cluster at once.
"""

import functools
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np

from retrieval.datasets.checks import hash_of, unreadable_message
from retrieval.datasets.image_health import examine_files
from retrieval.datasets.image_lists import ImageList
from retrieval.deployment.embedder import Embedder, check_finite, load_embedder
from retrieval.errors import UserError
from retrieval.files import file_stamps
from retrieval.runs.embedding_parts import Part, Parts
from retrieval.training.devices import find_gpus, unused_gpu

PART_IMAGES = 4096  # images per part; a multiple of the batch
STRICT = "replace or remove what is at fault, or leave it out: drop --strict"


@dataclass(frozen=True)
class ImagePart:
    """Consecutive images of a list.

    Attributes:
        number: Which part of the list it is, from 0.
        start: Position of its first image in the list.
        root: Folder that the paths are relative to.
        names: Paths of the images, as the list names them.
    """

    number: int
    start: int
    root: Path
    names: list[str]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def files(self) -> list[str]:
        """Paths of the image files."""
        return [os.path.join(self.root, name) for name in self.names]


@dataclass(frozen=True)
class ImageParts(Sequence[ImagePart]):
    """All parts of a list, each made when it is asked for.

    Attributes:
        listed: The list.
        size: Images per part; the last one may have fewer.
    """

    listed: ImageList
    size: int

    def __len__(self) -> int:
        return math.ceil(len(self.listed) / self.size)

    @overload
    def __getitem__(self, number: int) -> ImagePart: ...
    @overload
    def __getitem__(self, number: slice) -> list[ImagePart]: ...

    def __getitem__(self, number: int | slice) -> ImagePart | list[ImagePart]:
        """Return a part, or those of a slice."""
        if isinstance(number, slice):
            return [self[each] for each in range(*number.indices(len(self)))]
        start = range(0, len(self.listed), self.size)[number]
        names = self.listed.paths[start : start + self.size]
        return ImagePart(start // self.size, start, self.listed.root, names)

    def __iter__(self) -> Iterator[ImagePart]:
        """Yield the parts in order."""
        return (self[number] for number in range(len(self)))


@dataclass(frozen=True)
class Checked:
    """What was found about the files of a part.

    Attributes:
        stamp: What tells the files from changed ones.
        is_done: Whether they are embedded already.
        problems: Path -> what is wrong with an image.
    """

    stamp: str
    is_done: bool
    problems: Mapping[str, str]


def check_part(
    parts: Parts, part: ImagePart, *, strict: bool = False, threads: int | None = None
) -> Checked:
    """Find out whether a part is embedded already and, if not, which of its images are damaged.

    Args:
        parts: The parts that are there.
        part: The images.
        strict: Whether to refuse images that are missing or damaged. Defaults to False.
        threads: How many threads decode them. Defaults to one per processor.

    Raises:
        UserError: An image is missing or damaged, and ``strict`` is set.
    """
    files = part.files
    stamp = hash_of(file_stamps(files))
    if parts.has(part.number, stamp):
        return Checked(stamp, True, {})
    found = zip(part.names, examine_files(files, threads=threads), strict=True)
    problems = {name: health.problem for name, health in found if health.problem is not None}
    if problems and strict:
        raise UserError(unreadable_message(part.root, problems, STRICT))
    return Checked(stamp, False, problems)


def embed_part(
    embedder: Embedder,
    part: ImagePart,
    checked: Checked,
    *,
    keep_views: bool = False,
    advance: Callable[[int], object] = lambda _: None,
) -> Part:
    """Embed the images of a part that can be read.

    Args:
        embedder: The network.
        part: The images.
        checked: What was found about them.
        keep_views: Whether to keep each test-time view for itself as well. Defaults to False.
        advance: Called with the number of images just done. Defaults to no call.

    Raises:
        UserError: An image cannot be read after all, or its embedding is not finite.
    """
    is_left_out = [name in checked.problems for name in part.names]
    rows = part.start + np.flatnonzero(~np.array(is_left_out, bool))
    advance(len(part) - len(rows))
    width, skipped = embedder.width, dict(checked.problems)
    kept_views = len(embedder.views) if keep_views and len(embedder.views) > 1 else 0
    if not len(rows):
        none = np.empty((0, width), np.float32)
        views = np.empty((kept_views, 0, width), np.float32)
        return Part(rows, none, views, skipped, checked.stamp)
    files = [f for f, out in zip(part.files, is_left_out, strict=True) if not out]
    combined, each = [], []
    for found in embedder.embed_views(files):
        combined.append(embedder.combine(found))
        if kept_views:
            each.append(np.moveaxis(found, 1, 0))
        advance(len(found))
    embeddings = np.concatenate(combined).astype(np.float32)
    check_finite(embeddings, files)
    views = (
        np.concatenate(each, axis=1).astype(np.float32)
        if each
        else np.empty((0, *embeddings.shape), np.float32)
    )
    return Part(rows, embeddings, views, skipped, checked.stamp)


@dataclass(frozen=True)
class Done:
    """What became of a part.

    Attributes:
        number: Which part it is.
        images: Number of its images.
        is_new: Whether they were embedded now; otherwise, they had been before.
        seconds: How long an actor was at it. Defaults to 0.0: not measured.
    """

    number: int
    images: int
    is_new: bool
    seconds: float = 0.0


def part_worker(
    *,
    run: Path | str,
    choice: Mapping[str, str | None],
    folder: Path,
    plan: Mapping[str, Any],
    strict: bool,
    keep_views: bool,
    threads: int,
    on_gpu: bool,
) -> Callable[[ImagePart], Done]:
    """Return the function by which an actor of a cluster embeds and writes one part.

    The network is loaded once, when the first part is there that is not embedded yet.

    Args:
        run: Folder of the run, an absolute path, as are all others; or its URL, from which a node
            fetches it.
        choice: Which network of it: keywords of
            :func:`retrieval.deployment.embedder.load_embedder`.
        folder: The folder of the parts, on a disk that all nodes share.
        plan: What the parts are parts of; see :meth:`retrieval.runs.embedding_parts.Parts.begin`.
        strict: Whether to refuse images that are missing or damaged.
        keep_views: Whether to keep each test-time view for itself as well.
        threads: How many threads check images.
        on_gpu: Whether a GPU must be there.
    """
    parts = Parts(folder)

    @functools.cache
    def embedder() -> Embedder:
        loaded = load_embedder(run, **choice)
        if (loaded.step, loaded.digest) != (plan["step"], plan["weights"]):
            raise UserError(
                f"{run}: on a node of the cluster, its checkpoint is another one than where the "
                "command was given: every node must see the same run folder"
            )
        if on_gpu and not find_gpus():
            raise UserError(
                "a GPU was asked for, and on a node of the cluster "
                f"{unused_gpu() or 'there is none'}: drop --gpus to embed on its processors"
            )
        return loaded

    def check_folder() -> None:
        if not parts.are_of(plan):  # nor if the command was given up and the folder removed
            raise UserError(
                f"{folder}: not seen by a node of the cluster: --out must lie on a disk that all "
                "nodes share under one path"
            )

    def embed(part: ImagePart) -> Done:
        begun = time.perf_counter()
        check_folder()
        checked = check_part(parts, part, strict=strict, threads=threads)
        if not checked.is_done:
            made = embed_part(embedder(), part, checked, keep_views=keep_views)
            check_folder()
            parts.save(part.number, made)
        seconds = time.perf_counter() - begun
        return Done(part.number, len(part), not checked.is_done, seconds)

    return embed
