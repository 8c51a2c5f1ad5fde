"""What a training is computed on: the devices, what to say about them, and training on several."""

import functools
import importlib.util
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf
from tensorflow.python.client import device_lib
from tqdm.auto import tqdm

from retrieval.errors import UserError, how_to_install
from retrieval.settings.resolve import batch_size, resolved
from retrieval.settings.schema import UNTRAINED, TrainSettings
from retrieval.training.memory_check import GIB, installed_bytes
from retrieval.training.workers import check_shares

TENSOR_CORES = (7, 0)  # first compute capability of GPUs that have them
DRIVER = Path("/proc/driver/nvidia/gpus")  # where the driver of Linux lists its GPUs
INSTALL = f"run `make install`, or {how_to_install('gpu')}"


@dataclass(frozen=True)
class Device:
    """A GPU that TensorFlow computes on, or the CPU.

    Attributes:
        name: What the device is, e.g. ``NVIDIA H200``.
        memory: Bytes that TensorFlow may use of a GPU, or of main memory; None if unknown.
        capability: Compute capability of an NVIDIA GPU; None for others and for the CPU.
    """

    name: str
    memory: int | None = None
    capability: tuple[int, int] | None = None

    def __str__(self) -> str:
        known = "" if self.memory is None else f" ({self.memory / GIB:.0f} GiB)"
        return f"{self.name}{known}"

    @property
    def has_tensor_cores(self) -> bool:
        """Whether it computes in 16 bit much faster than in 32 bit."""
        return self.capability is not None and self.capability >= TENSOR_CORES


def find_gpus() -> list[Device]:
    """Return the GPUs that TensorFlow sees."""
    physical = tf.config.list_physical_devices("GPU")
    if not physical:
        return []
    # TensorFlow reserves this much of each at its start. No public function tells how much
    # (tensorflow/tensorflow#7537).
    limits = [d.memory_limit for d in device_lib.list_local_devices() if d.device_type == "GPU"]
    limits += [None] * (len(physical) - len(limits))
    found = []
    for gpu, limit in zip(physical, limits, strict=False):
        details = tf.config.experimental.get_device_details(gpu)
        name = details.get("device_name", gpu.name)
        found.append(Device(name, limit, details.get("compute_capability")))
    return found


def devices_of(settings: TrainSettings) -> list[Device]:
    """Return what a run is computed on: the first GPU, all of them, or the CPU.

    Args:
        settings: Resolved settings of the run.
    """
    gpus = find_gpus()
    if not gpus:
        return [Device(f"CPU with {os.cpu_count()} cores", installed_bytes())]
    return gpus if settings.distribute != "none" else gpus[:1]


def describe_devices(settings: TrainSettings) -> str:
    """Return the devices of a run, their memory and the precision, e.g. for ``config.yaml``.

    Args:
        settings: Resolved settings of the run.

    Returns:
        For instance ``2 x NVIDIA H200 (140 GiB), mixed float16``.
    """
    devices = devices_of(settings)
    count = f"{len(devices)} x " if len(devices) > 1 else ""
    precision = "float32"
    if settings.mixed_precision:
        precision = "mixed float16" if find_gpus() else "mixed bfloat16"
    return f"{count}{devices[0]}, {precision}"


def gpu_memory() -> int | None:
    """Return how many bytes of the first GPU's memory this process uses; None without a GPU."""
    if not tf.config.list_physical_devices("GPU"):
        return None
    return int(tf.config.experimental.get_memory_info("GPU:0")["current"])


def say_devices(settings: TrainSettings) -> None:
    """Print what a run is computed on, and what would make it faster.

    Args:
        settings: Resolved settings of the run.
    """
    words, gpus = describe_devices(settings), find_gpus()
    trained = settings.loss != UNTRAINED and not settings.freeze_backbone
    if trained and not settings.mixed_precision and devices_of(settings)[0].has_tensor_cores:
        words += "; --mixed-precision trains faster on its tensor cores"
    if trained and len(gpus) > 1 and settings.distribute == "none":
        words += f"; --distribute mirrored trains on all {len(gpus)} GPUs"
    tqdm.write(f"on {words}")
    if (warning := unused_gpu()) is not None:
        tqdm.write(f"warning: {warning}")


def unused_gpu() -> str | None:
    """Return what is wrong, and the fix, if this machine has a GPU that TensorFlow cannot see.

    TensorFlow says so itself, but among many lines that nobody reads: see :mod:`retrieval.quiet`.

    Returns:
        A line, or None if TensorFlow sees a GPU or there is none.
    """
    if find_gpus() or not (present := installed_gpus()):
        return None
    what = f"this machine has a GPU ({present[0]}), which TensorFlow does not see"
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and not _names_a_gpu(visible, len(present)):
        fix = f"CUDA_VISIBLE_DEVICES={visible!r} hides it: unset it, or set it to 0"
    elif sys.platform == "win32":
        fix = "TensorFlow has no GPU support on Windows: install in WSL2"
    elif importlib.util.find_spec("nvidia") is None:
        fix = f"the CUDA libraries are not installed: {INSTALL}"
    else:
        fix = f"look whether the driver is new enough for the CUDA libraries, and renew: {INSTALL}"
    return f"{what}; everything runs on the CPU, many times slower; {fix}"


def _names_a_gpu(visible: str, count: int) -> bool:
    """Tell whether a value of CUDA_VISIBLE_DEVICES, which clusters set, leaves a GPU to be seen.

    CUDA stops at the first entry that is no GPU of the machine.

    Args:
        visible: The value.
        count: Number of GPUs of the machine.
    """
    first = visible.split(",")[0].strip()
    if first.isascii() and first.isdigit():
        return int(first) < count
    return first.startswith(("GPU-", "MIG-"))


@functools.cache  # the hardware does not change while a process runs
def installed_gpus() -> list[str]:
    """Return the names of this machine's NVIDIA GPUs, whether TensorFlow sees them or not."""
    try:
        listed = subprocess.run(
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            check=True,
            timeout=20,
        )
        found = [line.strip() for line in listed.stdout.splitlines() if line.strip()]
    except (OSError, subprocess.SubprocessError):
        found = []
    if found or not DRIVER.is_dir():
        return found
    return [f"NVIDIA, bus {each.name}" for each in sorted(DRIVER.iterdir())]


def visible_gpus() -> int:
    """Return how many of this machine's GPUs are for this process, without taking hold of any."""
    present, visible = len(installed_gpus()), os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return present
    named = [entry for entry in visible.split(",") if _names_a_gpu(entry, present)]
    return min(present, len(named))


@functools.cache
def mirrored_strategy() -> tf.distribute.MirroredStrategy:
    """Return the strategy that trains on all local devices, the same one for the whole process.

    Every strategy numbers its exchanges between devices from the same start, and TensorFlow refuses
    a number whose tensors had other shapes before (tensorflow/tensorflow#62790). With a new
    strategy, the second training of a process would therefore fail.
    """
    return tf.distribute.MirroredStrategy()


def strategy_of(settings: TrainSettings) -> tf.distribute.Strategy | None:
    """Return the distribution strategy of a run; None for a single device, and for workers.

    Args:
        settings: Resolved settings of a training.

    Raises:
        UserError: The devices cannot share a batch equally, which adding up their gradients needs.
            Names the batch, the devices and the fix.
    """
    if settings.distribute == "workers":
        check_shares(batch_size(settings), settings.workers)  # their devices are not known yet
    if settings.distribute != "mirrored":
        return None
    strategy = mirrored_strategy()
    devices = strategy.num_replicas_in_sync
    p, k = resolved(settings.classes_per_batch), resolved(settings.samples_per_class)
    if p * k % devices:
        raise UserError(
            f"--distribute mirrored cannot share {p} x {k} = {p * k} images equally among "
            f"{devices} devices: give --classes-per-batch and --samples-per-class whose product "
            f"is a multiple of {devices}, or drop --distribute"
        )
    return strategy
