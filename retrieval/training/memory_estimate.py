"""Estimate the memory of a training step from its TensorFlow graph, without running it."""

import math
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import keras
import tensorflow as tf

from retrieval.embedding.network import build_network, has_frozen_batch_norm
from retrieval.models.freezing import freeze_batch_norm
from retrieval.models.precision import mixed_precision
from retrieval.settings.resolve import batch_size, input_size
from retrieval.settings.schema import TrainSettings, matryoshka_widths
from retrieval.training.batch_memory import FLOAT, PAIR_MATRICES
from retrieval.training.optimizers import slot_count
from retrieval.validation import pixel_count

TRACED_BATCH = 16
PREFETCHED = 4  # batches that the input pipeline holds ready
# Bytes that TensorFlow holds per operation of the graph on a CPU, whatever the batch: measured.
PER_OPERATION = 72_000
# Operations whose output shares the memory of their first input, and those that allocate none.
VIEWS = {"Identity", "IdentityN", "Reshape", "Squeeze", "ExpandDims", "StopGradient"}
GIVEN = {"Const", "Placeholder", "ReadVariableOp"}


@dataclass(frozen=True)
class Footprint:
    """The memory of one network's training step, for any batch, chunk size, loss and optimizer.

    Attributes:
        per_image: Bytes per image at the peak: activations kept for the backward pass, and
            gradients in transit.
        weights: Bytes of the weights.
        trained: Bytes of those that are trained: with LoRA, a small part.
        operations: Number of operations in the graph of the forward and backward pass.
    """

    per_image: float
    weights: int
    trained: int
    operations: int

    def fixed(self, settings: TrainSettings, *, chunked: bool) -> float:
        """Return the bytes that do not depend on how many images are embedded at a time.

        Args:
            settings: Resolved settings of the run.
            chunked: Whether the batch is embedded in chunks.
        """
        batch = batch_size(settings)
        # The weights; of those trained, gradients (in chunks also their sum so far) and the
        # optimizer's copies.
        copies = 1 + chunked + slot_count(settings.optimizer)
        weights = self.weights + self.trained * copies
        references = batch * (1 + settings.memory_batches)
        widths = (*matryoshka_widths(settings), settings.embedding_size)
        pairs = PAIR_MATRICES * FLOAT * batch * references * len(widths)
        memory = FLOAT * settings.memory_batches * batch * sum(widths)
        # The batch in use and those prefetched, uint8.
        images = (1 + PREFETCHED) * batch * 3 * pixel_count(input_size(settings))
        return self.operations * PER_OPERATION + weights + pairs + memory + images

    def total(self, settings: TrainSettings, replicas: int = 1) -> int:
        """Return the bytes that one of several replicas needs."""
        batch = -(-batch_size(settings) // replicas)
        chunked = 0 < settings.chunk_size < batch
        images = settings.chunk_size if chunked else batch
        return round(images * self.per_image + self.fixed(settings, chunked=chunked))


def estimate_training_memory(settings: TrainSettings) -> int:
    """Estimate the memory that training a whole network takes, besides the program's own.

    The estimate includes the activations kept for the backward pass of one batch or one chunk; the
    weights, their gradients and the optimizer's copies; batches of images; the loss's matrices of
    pairs and the cross-batch memory; and TensorFlow's own memory per operation, as measured on a
    CPU. It does not include images that are kept in memory (``cache_images_gb``, which
    :mod:`retrieval.training.memory_check` adds) and weights of the loss.

    Compared with the peaks that ``benchmarks/memory.py`` measures, in GiB:

    | backbone, 224 px | batch | chunk | measured | estimated |
    |---|---|---|---|---|
    | DenseNet169 | 60 | all | 10.0 | 10.3 |
    | DenseNet169 | 60 | 20 | 4.9 | 4.5 |
    | DenseNet169 | 20 | all | 4.6 | 4.4 |
    | Inception V1 | 120 | all | 4.6 | 4.7 |
    | Inception V1 | 120 | 20 | 1.0 | 1.2 |
    | Inception V1 | 20 | all | 1.1 | 1.1 |

    With frozen batch normalizations, at 64 to 160 px: EfficientNet-Lite0 1.05 measured and 0.86
    estimated (in chunks 0.46 and 0.39), ResNet50 0.96 and 1.17, DINOv2 1.06 and 1.30, conv4 0.11
    and 0.13.

    Args:
        settings: Resolved settings of a training that does not freeze the backbone.

    Returns:
        Bytes on each device.
    """
    return dry_run(settings).total(settings, replica_count(settings))


def replica_count(settings: TrainSettings) -> int:
    """Return the number of devices that share a batch."""
    if settings.distribute == "none":
        return 1
    return settings.workers * max(1, len(tf.config.list_physical_devices("GPU")))


def dry_run(settings: TrainSettings) -> Footprint:
    """Trace the forward and backward pass of a network and add up the memory of their graph.

    Args:
        settings: Resolved settings of a training that does not freeze the backbone.

    Returns:
        The footprint of the network.
    """
    with tf.device("CPU:0"), mixed_precision(settings.mixed_precision):
        network = build_network(settings.with_(weights="none"))
        if has_frozen_batch_norm(settings) and not settings.lora_rank:
            freeze_batch_norm(network.get_layer("backbone"))
        outputs = _trace(network)
    return Footprint(
        per_image=peak_bytes(outputs) / TRACED_BATCH,
        weights=FLOAT * network.count_params(),
        trained=FLOAT * sum(math.prod(weight.shape) for weight in network.trainable_weights),
        operations=len(outputs[0].graph.get_operations()),
    )


def _trace(network: keras.Model) -> list[tf.Tensor]:
    """Return the outputs of the graph: embeddings, and the gradients of all weights."""

    def step(images: tf.Tensor, outer: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            embeddings = tf.cast(network(images, training=True), tf.float32)
        variables = network.trainable_variables
        return embeddings, tape.gradient(embeddings, variables, output_gradients=outer)

    images = tf.TensorSpec((TRACED_BATCH, *network.input_shape[1:]), tf.uint8)
    outer = tf.TensorSpec((TRACED_BATCH, network.output_shape[-1]))
    return tf.function(step, autograph=False).get_concrete_function(images, outer).outputs


def peak_bytes(outputs: Sequence[tf.Tensor]) -> int:
    """Return the peak memory of a graph whose operations run in the order they were created.

    A tensor lives from the operation that makes it to the last one that reads it. Weights and
    inputs are not counted.

    Args:
        outputs: Tensors of one graph. Operations that none of them depends on never run.

    Returns:
        Bytes.
    """
    order = _operations_before(outputs)
    owner: dict[Hashable, Hashable] = {}  # view -> the tensor whose memory it shares
    last: dict[Hashable, int] = {}  # tensor -> position of the last operation that reads it
    for position, op in enumerate(order):
        for tensor in op.inputs:
            last[owner.get(tensor.ref(), tensor.ref())] = position
        for made in op.outputs:
            last[made.ref()] = position
        if op.type in VIEWS:
            for view, source in zip(op.outputs, op.inputs, strict=False):
                owner[view.ref()] = owner.get(source.ref(), source.ref())
    for tensor in outputs:
        last[owner.get(tensor.ref(), tensor.ref())] = len(order)
    freed: dict[int, int] = defaultdict(int)  # position -> bytes
    live = peak = 0
    for position, op in enumerate(order):
        for tensor in op.outputs if op.type not in GIVEN else []:
            if tensor.ref() not in owner:
                live += _size(tensor)
                freed[last[tensor.ref()]] += _size(tensor)
        peak = max(peak, live)
        live -= freed[position]
    return peak


def _operations_before(outputs: Sequence[tf.Tensor]) -> list[tf.Operation]:
    """Return the operations that the outputs depend on, in the order they were created."""
    needed: set[tf.Operation] = set()
    stack = [tensor.op for tensor in outputs]
    while stack:
        op = stack.pop()
        if op not in needed:
            needed.add(op)
            stack += [tensor.op for tensor in op.inputs]
    return [op for op in outputs[0].graph.get_operations() if op in needed]


def _size(tensor: tf.Tensor) -> int:
    return (tensor.shape.num_elements() or 0) * tensor.dtype.size
