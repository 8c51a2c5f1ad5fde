"""Train small networks as one of several workers: for tests and ``benchmarks/workers.py``."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from retrieval.training.workers import Workers, join_workers

CLASSES, PER_CLASS, IN_BATCH, WIDTH = 12, 4, 6, 8
BATCH = IN_BATCH * PER_CLASS  # 24 rows, for 1, 2, 3 and 4 workers
STEPS = 20
RATE = 0.02


@dataclass(frozen=True)
class Case:
    """One training.

    Attributes:
        loss: Name of the loss.
        memory: Options of a cross-batch memory. Defaults to None.
        matryoshka: Options of a Matryoshka loss. Defaults to None.
        batch_norm: Whether the network has a batch norm in training. Defaults to False.
        options: Of the ranking model. Defaults to none.
        clip_norm: Of the optimizer. Defaults to None.
    """

    loss: str
    memory: dict | None = None
    matryoshka: dict | None = None
    batch_norm: bool = False
    options: dict = field(default_factory=dict)
    clip_norm: float | None = None


def batches() -> tuple[np.ndarray, np.ndarray]:
    """Return inputs (steps, B, 5) and labels (steps, B) with P x K rows per step."""
    rng = np.random.default_rng(0)
    labels = np.stack(
        [np.repeat(rng.permutation(CLASSES)[:IN_BATCH], PER_CLASS) for _ in range(STEPS)]
    )
    centers = rng.normal(size=(CLASSES, 5))
    inputs = centers[labels] + rng.normal(size=(STEPS, BATCH, 5))
    return inputs.astype("float32"), labels.astype("int32")


def train_cases(
    rank: int, addresses: list[str], *, cases: list[Case], devices: int = 1
) -> list[dict[str, Any]]:
    """Train every case on this worker's rows; with one address, on a single device.

    Args:
        rank: Number of this worker.
        addresses: ``HOST:PORT`` of every worker.
        cases: The trainings.
        devices: Number of devices of each worker. Defaults to 1.

    Returns:
        For each case: ``losses`` (steps,), ``gradients`` of the first step times the learning rate
        and ``weights`` after the last step, lists of arrays.
    """
    if devices > 1:
        split_cpu(devices)
    workers = joined(rank, addresses)
    import tensorflow as tf

    from retrieval.training.worker_steps import WorkerSteps, share_state

    assert workers.devices == devices

    inputs, labels = batches()
    share = workers.share_of(BATCH)
    inputs, labels = (
        each[:, share].reshape(STEPS * devices, -1, *each.shape[2:]) for each in (inputs, labels)
    )
    data = tf.data.Dataset.from_tensor_slices((inputs, labels))
    found = []
    for case in cases:
        model = new_model(case, workers)
        share_state(workers, model, 0)
        steps = WorkerSteps(workers, model, data)
        losses, gradients = [], []
        for _ in range(STEPS):
            losses.append(steps.take()["loss"])
            if not gradients:
                gradients = [np.array(slot) for slot in model.optimizer.momentums]
        variables = [*model.network.variables, *model.loss_weights, *model.loss_state]
        weights = [np.array(variable) for variable in variables]
        found.append({"losses": np.array(losses), "gradients": gradients, "weights": weights})
    return found


def split_cpu(devices: int) -> None:
    """Let TensorFlow take the processor for several devices, as if they were GPUs."""
    import tensorflow as tf
    from tensorflow.python.distribute import collective_all_reduce_strategy as module

    cpu = tf.config.list_physical_devices("CPU")[0]
    parts = [tf.config.LogicalDeviceConfiguration()] * devices
    tf.config.set_logical_device_configuration(cpu, parts)

    def local_devices(_: Any, resolver: Any, worker_device: str) -> tuple[tuple[str, ...], str]:
        return tuple(f"{worker_device}/device:CPU:{n}" for n in range(devices)), "CPU"

    module.CollectiveAllReduceExtended._initialize_local_devices = local_devices


def joined(rank: int, addresses: list[str]) -> Workers:
    """Join the workers; one alone is a single device, without their strategy."""
    if len(addresses) > 1:
        return join_workers(rank, addresses)
    import tensorflow as tf

    return Workers(0, 1, tf.distribute.get_strategy())


def train_steps(rank: int, addresses: list[str], *, width: int, steps: int) -> dict[str, float]:
    """Take steps with a network of four dense layers; return the median time of one.

    Args:
        rank: Number of this worker.
        addresses: ``HOST:PORT`` of every worker.
        width: Width of the layers.
        steps: Number of steps.

    Returns:
        ``weights``, their number, and ``milliseconds`` of a step.
    """
    workers = joined(rank, addresses)
    import time

    import keras
    import tensorflow as tf

    from retrieval.losses import get_loss
    from retrieval.training.model import RankingModel
    from retrieval.training.worker_steps import WorkerSteps

    with workers.strategy.scope():
        layers = [keras.layers.Dense(width, activation="relu") for _ in range(4)]
        network = keras.Sequential([keras.Input((width,)), *layers])
        model = RankingModel(network, get_loss("multi_similarity"))
        model.compile(optimizer="sgd", jit_compile=False)
        model.optimizer.build(model.trainable_variables)
    share = workers.share_of(120)
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(1, 120, width)).astype("float32")[:, share]
    labels = np.repeat(np.arange(30), 4).astype("int32")[None, share]
    taken = WorkerSteps(workers, model, tf.data.Dataset.from_tensor_slices((inputs, labels)))
    seconds = []
    for _ in range(steps):
        start = time.perf_counter()
        taken.take()
        seconds.append(time.perf_counter() - start)
    count = float(sum(np.prod(v.shape) for v in model.trainable_variables))
    return {"weights": count, "milliseconds": 1000 * float(np.median(seconds[5:]))}


def new_model(case: Case, workers: Any) -> Any:
    """Build a case's model in the scope of the workers' strategy, equal for equal cases."""
    import keras

    from retrieval.losses import get_loss
    from retrieval.training.model import RankingModel
    from retrieval.training.optimizers import build_optimizer
    from retrieval.training.worker_steps import synchronize_batch_norms

    with workers.strategy.scope():
        keras.utils.set_random_seed(0)
        loss = get_loss(case.loss, cross_batch_memory=case.memory, matryoshka=case.matryoshka)
        loss.build(CLASSES, WIDTH)
        layers = [keras.Input((5,)), keras.layers.Dense(16, activation="tanh")]
        layers += [keras.layers.BatchNormalization()] if case.batch_norm else []
        body = keras.Sequential(layers, name="backbone")
        source = keras.Input((5,))
        network = keras.Model(source, keras.layers.Dense(WIDTH)(body(source)))
        model = RankingModel(network, loss, **case.options)
        optimizer = build_optimizer("momentum", RATE, clip_norm=case.clip_norm)
        model.compile(optimizer=optimizer, jit_compile=False)
        model.optimizer.build(model.trainable_variables)
    synchronize_batch_norms(network)
    return model


def differences(one: dict[str, Any], other: dict[str, Any]) -> dict[str, float]:
    """Return the largest differences of two trainings, relative to the largest value.

    Not to the largest value of each array: biases that a loss does not depend on have gradients of
    rounding alone.

    Returns:
        ``losses``, ``gradients`` and ``weights``: the largest difference divided by the largest
        absolute value. Infinite if integers (counters, labels of a memory) differ.
    """

    def of(these: list[np.ndarray], those: list[np.ndarray]) -> float:
        real = [array.dtype.kind == "f" for array in these]
        pairs = [*zip(these, those, real, strict=True)]
        if not all(np.array_equal(a, b) for a, b, floats in pairs if not floats):
            return float("inf")
        largest = max(np.abs(a).max(initial=0) for a, _, floats in pairs if floats)
        return float(
            max(np.abs(a - b).max(initial=0) for a, b, floats in pairs if floats) / largest
        )

    return {
        "losses": of([one["losses"]], [other["losses"]]),
        "gradients": of(one["gradients"], other["gradients"]),
        "weights": of(one["weights"], other["weights"]),
    }
