"""Refuse a training that would not fit into memory, before it starts."""

import math
from pathlib import Path

from retrieval.errors import UserError
from retrieval.settings.schema import UNTRAINED, TrainSettings

# Batches below this many pixels always fit, and are not worth a dry run.
SMALL = 16 * 128**2
GIB = 2**30
# What the program holds before it trains; the rest of its memory is from earlier runs in the same
# process and will be used again.
PROGRAM = GIB
# A suggested chunk size leaves this share of the memory free.
SPARE = 0.1


def check_memory(settings: TrainSettings, *, progress: bool = True) -> None:
    """Compare what a training needs with what there is; say both where a recipe is trained.

    Head-only trainings, untrained runs and small batches of small images are not looked at.

    Args:
        settings: Resolved settings.
        progress: Print the estimate of a recipe.

    Raises:
        UserError: It does not fit, unless ``settings.check_memory`` is off.
    """
    if settings.loss == UNTRAINED or settings.freeze_backbone:
        return
    batch = settings.classes_per_batch * settings.samples_per_class
    announce = settings.recipe is not None and progress
    if batch * settings.image_size**2 <= SMALL or not (settings.check_memory or announce):
        return
    from retrieval.training.memory_estimate import dry_run, replica_count

    footprint, replicas = dry_run(settings), replica_count(settings)
    needed, there = footprint.total(settings, replicas), available_memory()
    if announce:
        known = "" if there is None else f", {there / GIB:.1f} available"
        print(f"{settings.recipe} needs about {needed / GIB:.1f} GiB of memory{known}")
    if not settings.check_memory or there is None or needed <= there:
        return
    room = (1 - SPARE) * there - footprint.fixed(settings, chunked=True)
    chunk = math.floor(room / footprint.per_image)
    in_parts = f"--chunk-size {chunk}, or " if chunk > 0 and replicas == 1 else ""
    raise UserError(
        f"training needs about {needed / GIB:.1f} GiB of memory, {there / GIB:.1f} GiB are "
        f"available: try {in_parts}a smaller --classes-per-batch or --image-size; "
        "--no-check-memory trains anyway"
    )


def available_memory() -> int | None:
    """Return the bytes a training can use: of the first GPU, else of the machine; None: unknown."""
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        return _gpu_bytes()
    return host_bytes()


def _gpu_bytes() -> int:
    import tensorflow as tf
    from tensorflow.python.client import device_lib

    # TensorFlow takes this much of the GPU's memory at its start, and shares it out itself.
    first = next(d for d in device_lib.list_local_devices() if d.device_type == "GPU")
    return first.memory_limit - tf.config.experimental.get_memory_info("GPU:0")["current"]


def host_bytes(proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Return the main memory this process can use, in bytes: what is free and what it can reuse.

    Args:
        proc: Where Linux tells of memory.
        cgroup: Where it tells of the limits of a container.

    Returns:
        Bytes, or None where there is no such folder (other systems).
    """
    if not (proc / "meminfo").exists():
        return None
    free = min(_kilobytes(proc / "meminfo", "MemAvailable:"), _below_limit(cgroup))
    own = _kilobytes(proc / "self" / "status", "VmRSS:")
    return round(free + max(0, own - PROGRAM))


def _kilobytes(file: Path, key: str) -> int:
    return 1024 * _value(file, key)


def _value(file: Path, key: str) -> int:
    lines = (line.split() for line in file.read_text(encoding="utf-8").splitlines())
    return next(int(words[1]) for words in lines if words[0] == key)


def _below_limit(cgroup: Path) -> float:
    """Return how far the container is below its limit, infinity without one; cache is free."""
    for folder, limit, used in (
        (cgroup, "memory.max", "memory.current"),
        (cgroup / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        if (folder / limit).exists():
            most = (folder / limit).read_text(encoding="utf-8").strip()
            if most == "max":
                return math.inf
            statistics = folder / "memory.stat"
            cached = _value(statistics, "inactive_file") + _value(statistics, "active_file")
            current = int((folder / used).read_text(encoding="utf-8"))
            return int(most) - (current - cached)
    return math.inf
