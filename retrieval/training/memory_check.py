"""Refuse a training that does not fit into memory, before it starts."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from retrieval.datasets.catalog import Catalog
from retrieval.errors import UserError
from retrieval.input_pipeline.image_cache import cached_bytes, loaded_sides
from retrieval.progress import stage
from retrieval.settings.resolve import batch_size, input_size
from retrieval.settings.schema import UNTRAINED, TrainSettings, matryoshka_widths
from retrieval.training.batch_memory import FLOAT, PAIR_MATRICES
from retrieval.validation import pixel_count

GIB = 2**30
ALWAYS_FITS = 16 * 128**2  # pixels of a batch; below, the estimate is not worth its time
PROGRAM = GIB  # bytes that the program itself needs, besides the training
BYTES_PER_ROW = 12  # of the list of all batches: int64, and a copy as int32
SPARE = 0.1  # share of the memory that a suggested chunk size leaves free


def available_memory() -> int | None:
    """Return the bytes a training can use on the first GPU, or on the machine if there is none.

    Returns:
        Bytes, or None if they are unknown.
    """
    # TensorFlow takes seconds to load, and most callers never get here.
    import tensorflow as tf
    from tensorflow.python.client import device_lib

    if not tf.config.list_physical_devices("GPU"):
        return host_bytes()
    # TensorFlow reserves this much of the GPU at its start. No public function tells how much
    # (tensorflow/tensorflow#7537).
    first = next(d for d in device_lib.list_local_devices() if d.device_type == "GPU")
    return first.memory_limit - tf.config.experimental.get_memory_info("GPU:0")["current"]


def check_memory(
    settings: TrainSettings,
    *,
    images: int = 0,
    announce: Callable[[str], None] | None = None,
    available: Callable[[], int | None] = available_memory,
    host: Callable[[], int | None] | None = None,
) -> None:
    """Compare the memory a training needs with the memory there is.

    Trainings of the head alone, untrained runs and small batches of small images always fit and are
    not estimated. Decoded images that are kept (``cache_images_gb``) always are.

    Args:
        settings: Resolved settings of the run.
        images: Number of training images. Defaults to 0: none are kept.
        announce: Called with the estimate, as a line, if the settings are those of a recipe.
            Defaults to None, no call.
        available: Function that returns the available bytes where the network is trained, None if
            unknown. Defaults to :func:`available_memory`.
        host: Function that returns the available bytes of main memory, where images are kept; None
            if unknown. Defaults to None: ``available`` without a GPU, and :func:`host_bytes` with
            one.

    Raises:
        UserError: The training does not fit, and ``settings.check_memory`` is on. Names both
            figures and, if there is one, a chunk size that fits.
    """
    if settings.loss == UNTRAINED:
        return
    kept = 0
    if not settings.freeze_backbone:
        announcer = announce if settings.recipe is not None else None
        kept = kept_image_bytes(settings, images)
        with stage("estimating the memory of a step", show=announce is not None):
            needed = _check_network(settings, kept, announcer, available)
        if kept and settings.check_memory:
            _check_kept_images(kept, needed, available, host)
    if settings.check_memory:
        _check_batches(settings, available)


def training_images(settings: TrainSettings, catalog: Catalog) -> int:
    """Return about how many images a run trains on: without the classes that it holds out itself.

    Args:
        settings: Resolved settings of the run.
        catalog: Its data set.
    """
    images = int((catalog.items["split"] == "train").sum())
    if settings.eval_split == "validation" and not catalog.has_validation:
        images = round(images * (1 - settings.validation_fraction))
    return images


def kept_image_bytes(settings: TrainSettings, images: int) -> int:
    """Return the bytes of the decoded images that a training keeps in main memory.

    Args:
        settings: Resolved settings of a run that does not freeze the backbone.
        images: Number of training images.
    """
    sides = loaded_sides(input_size(settings), settings.pre_crop, settings.augment)
    return cached_bytes(
        images, sides, settings.steps * batch_size(settings), settings.cache_images_gb
    )


def _check_network(
    settings: TrainSettings,
    kept: int,
    announce: Callable[[str], None] | None,
    available: Callable[[], int | None],
) -> int:
    """Refuse a training whose network does not fit into memory together with a batch of images.

    Returns:
        The bytes it needs; 0 if it is too small to be estimated.
    """
    pixels = batch_size(settings) * pixel_count(input_size(settings))
    if pixels <= ALWAYS_FITS or not (settings.check_memory or announce is not None):
        return 0
    from retrieval.training.memory_estimate import dry_run, replica_count  # loads TensorFlow

    footprint, replicas = dry_run(settings), replica_count(settings)
    needed, free = footprint.total(settings, replicas), available()
    if announce is not None:
        known = "" if free is None else f", {free / GIB:.1f} available"
        images = f", and {kept / GIB:.1f} GiB for images kept in memory" if kept else ""
        announce(f"{settings.recipe} needs about {needed / GIB:.1f} GiB of memory{known}{images}")
    if not settings.check_memory or free is None or needed <= free:
        return needed
    room = (1 - SPARE) * free - footprint.fixed(settings, chunked=True)
    chunk = math.floor(room / footprint.per_image)
    in_chunks = f"--chunk-size {chunk}, or " if chunk > 0 and replicas == 1 else ""
    raise UserError(
        f"training needs about {needed / GIB:.1f} GiB of memory, {free / GIB:.1f} GiB are "
        f"available: try {in_chunks}a smaller --classes-per-batch or --image-size; "
        "--no-check-memory trains anyway"
    )


def _check_kept_images(
    kept: int,
    needed: int,
    available: Callable[[], int | None],
    host: Callable[[], int | None] | None,
) -> None:
    """Refuse to keep images that do not fit into main memory beside a network trained there."""
    import tensorflow as tf

    if host is None:
        host = host_bytes if tf.config.list_physical_devices("GPU") else available
    beside = 0 if tf.config.list_physical_devices("GPU") else needed
    free = host()
    if free is None or kept + beside <= free:
        return
    training = f", and training about {beside / GIB:.1f}" if beside else ""
    raise UserError(
        f"the decoded training images take {kept / GIB:.1f} GiB of memory{training}; "
        f"{free / GIB:.1f} GiB are available: try --cache-images-gb 0, which decodes them in every "
        "step; --no-check-memory trains anyway"
    )


def _check_batches(settings: TrainSettings, available: Callable[[], int | None]) -> None:
    """Refuse batches whose comparisons, or whose list of rows, do not fit into memory."""
    batch = batch_size(settings)
    widths = (*matryoshka_widths(settings), settings.embedding_size)
    pairs = FLOAT * PAIR_MATRICES * batch * batch * (1 + settings.memory_batches) * len(widths)
    memory = FLOAT * settings.memory_batches * batch * sum(widths)
    rows = BYTES_PER_ROW * settings.steps * batch
    needed = pairs + memory + rows
    if needed <= GIB:
        return
    free = available()
    if free is None or needed <= free:
        return
    fixes = {
        "a smaller --classes-per-batch or --samples-per-class": pairs,
        "fewer --memory-batches": memory,
        "fewer --steps": rows,
    }
    largest = max(fixes, key=lambda fix: fixes[fix])
    raise UserError(
        f"batches of {batch:,} images over {settings.steps:,} steps need about "
        f"{needed / GIB:,.1f} GiB of memory, {free / GIB:.1f} GiB are available: try {largest}; "
        "--no-check-memory trains anyway"
    )


class Cgroup(NamedTuple):
    """Files in which a version of Linux' control groups reports on a container's memory."""

    limit: str
    used: str


CGROUPS = (
    Cgroup("memory.max", "memory.current"),  # version 2
    Cgroup("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),  # version 1
)


def host_bytes(proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Return the main memory that this process can still use, in bytes.

    This is the free memory, as far as a container's limit allows, and the memory that earlier
    trainings left to this process, which it will use again.

    Args:
        proc: Folder in which Linux reports on memory. Defaults to ``/proc``.
        cgroup: Folder in which it reports the limits of a container. Defaults to
            ``/sys/fs/cgroup``.

    Returns:
        Bytes, or None on systems without such a folder.
    """
    if not (proc / "meminfo").exists():
        return None
    free = 1024 * _field(proc / "meminfo", "MemAvailable:")  # reported in kB
    resident = 1024 * _field(proc / "self" / "status", "VmRSS:")
    return round(min(free, _room_in_container(cgroup)) + max(0, resident - PROGRAM))


def installed_bytes(
    proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")
) -> int | None:
    """Return the main memory of this machine, or of the container that this process runs in.

    Args:
        proc: Folder in which Linux reports on memory. Defaults to ``/proc``.
        cgroup: Folder in which it reports the limits of a container. Defaults to
            ``/sys/fs/cgroup``.

    Returns:
        Bytes, or None on systems without such a folder.
    """
    if not (proc / "meminfo").exists():
        return None
    total = 1024 * _field(proc / "meminfo", "MemTotal:")
    return round(min(total, *(_limit(cgroup / names.limit) for names in CGROUPS)))


def _field(file: Path, key: str) -> int:
    """Return the number that follows a key in a file of lines ``key number``."""
    lines = (line.split() for line in file.read_text(encoding="utf-8").splitlines())
    return next(int(words[1]) for words in lines if words[0] == key)


def _limit(file: Path) -> float:
    """Return a container's limit in bytes; infinity without one."""
    text = file.read_text(encoding="utf-8").strip() if file.exists() else "max"
    return math.inf if text == "max" else int(text)


def _room_in_container(cgroup: Path) -> float:
    """Return the bytes below the container's limit; infinity without one. File cache is free."""
    for names in CGROUPS:
        most = _limit(cgroup / names.limit)
        if most < math.inf:
            statistics = (cgroup / names.limit).with_name("memory.stat")
            cached = _field(statistics, "inactive_file") + _field(statistics, "active_file")
            current = int((cgroup / names.used).read_text(encoding="utf-8"))
            return most - (current - cached)
    return math.inf
