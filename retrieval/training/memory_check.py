"""Refuse a training that does not fit into memory, before it starts."""

import math
from collections.abc import Callable
from pathlib import Path

from retrieval.errors import UserError
from retrieval.settings.resolve import batch_size, input_size
from retrieval.settings.schema import UNTRAINED, TrainSettings
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
    announce: Callable[[str], None] | None = None,
    available: Callable[[], int | None] = available_memory,
) -> None:
    """Compare the memory a training needs with the memory there is.

    Trainings of the head alone, untrained runs and small batches of small images always fit and are
    not estimated.

    Args:
        settings: Resolved settings of the run.
        announce: Called with the estimate, as a line, if the settings are those of a recipe.
            Defaults to None, no call.
        available: Function that returns the available bytes, None if unknown. Defaults to
            :func:`available_memory`.

    Raises:
        UserError: The training does not fit, and ``settings.check_memory`` is on. Names both
            figures and, if there is one, a chunk size that fits.
    """
    if settings.loss == UNTRAINED:
        return
    if not settings.freeze_backbone:
        _check_network(settings, announce if settings.recipe is not None else None, available)
    if settings.check_memory:
        _check_batches(settings, available)


def _check_network(
    settings: TrainSettings,
    announce: Callable[[str], None] | None,
    available: Callable[[], int | None],
) -> None:
    """Refuse a training whose network does not fit into memory together with a batch of images."""
    pixels = batch_size(settings) * pixel_count(input_size(settings))
    if pixels <= ALWAYS_FITS or not (settings.check_memory or announce is not None):
        return
    from retrieval.training.memory_estimate import dry_run, replica_count  # loads TensorFlow

    footprint, replicas = dry_run(settings), replica_count(settings)
    needed, free = footprint.total(settings, replicas), available()
    if announce is not None:
        known = "" if free is None else f", {free / GIB:.1f} available"
        announce(f"{settings.recipe} needs about {needed / GIB:.1f} GiB of memory{known}")
    if not settings.check_memory or free is None or needed <= free:
        return
    room = (1 - SPARE) * free - footprint.fixed(settings, chunked=True)
    chunk = math.floor(room / footprint.per_image)
    in_chunks = f"--chunk-size {chunk}, or " if chunk > 0 and replicas == 1 else ""
    raise UserError(
        f"training needs about {needed / GIB:.1f} GiB of memory, {free / GIB:.1f} GiB are "
        f"available: try {in_chunks}a smaller --classes-per-batch or --image-size; "
        "--no-check-memory trains anyway"
    )


def _check_batches(settings: TrainSettings, available: Callable[[], int | None]) -> None:
    """Refuse batches whose comparisons, or whose list of rows, do not fit into memory."""
    batch = batch_size(settings)
    pairs = FLOAT * PAIR_MATRICES * batch * batch * (1 + settings.memory_batches)
    memory = FLOAT * settings.memory_batches * batch * settings.embedding_size
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
    for file in (cgroup / "memory.max", cgroup / "memory" / "memory.limit_in_bytes"):
        limit = file.read_text(encoding="utf-8").strip() if file.exists() else "max"
        total = total if limit == "max" else min(total, int(limit))
    return total


def _field(file: Path, key: str) -> int:
    """Return the number that follows a key in a file of lines ``key number``."""
    lines = (line.split() for line in file.read_text(encoding="utf-8").splitlines())
    return next(int(words[1]) for words in lines if words[0] == key)


def _room_in_container(cgroup: Path) -> float:
    """Return the bytes below the container's limit; infinity without one. File cache is free."""
    for folder, limit, used in (  # version 2 of cgroups, then version 1
        (cgroup, "memory.max", "memory.current"),
        (cgroup / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        if (folder / limit).exists():
            most = (folder / limit).read_text(encoding="utf-8").strip()
            if most == "max":
                return math.inf
            statistics = folder / "memory.stat"
            cached = _field(statistics, "inactive_file") + _field(statistics, "active_file")
            current = int((folder / used).read_text(encoding="utf-8"))
            return int(most) - (current - cached)
    return math.inf
