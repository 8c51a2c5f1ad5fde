"""How much memory a training step takes, from a dry run: the step's graph, without any image."""

from collections import defaultdict
from dataclasses import dataclass

import keras
import tensorflow as tf

from retrieval.embedding.network import build_network, has_frozen_batch_norm
from retrieval.models.freezing import freeze_batch_norm
from retrieval.models.precision import mixed_precision
from retrieval.settings.schema import TrainSettings

DRY_BATCH = 16
FLOAT = 4  # bytes
PREFETCHED = 4  # batches
# Copies of every trainable weight that the optimizer keeps.
SLOTS = {"adam": 2, "adamw": 2, "momentum": 1}
# What TensorFlow holds per operation of the graph, on a CPU, whatever the batch: measured.
PER_OPERATION = 72_000
# Matrices of all pairs that a ranking loss and its gradient hold.
PAIR_MATRICES = 8
# Operations whose result lies in the memory of their first input, and those that make nothing.
VIEWS = {"Identity", "IdentityN", "Reshape", "Squeeze", "ExpandDims", "StopGradient"}
GIVEN = {"Const", "Placeholder", "ReadVariableOp"}


@dataclass(frozen=True)
class Footprint:
    """What the step of one network needs.

    Attributes:
        per_image: Bytes per image at the worst moment: activations kept for the backward pass, and
            gradients on their way.
        weights: Bytes of the weights.
        operations: Operations in the graph of forward and backward pass.
    """

    per_image: float
    weights: int
    operations: int

    def fixed(self, settings: TrainSettings, *, chunked: bool) -> float:
        """Return the bytes that do not depend on how many images are embedded at a time."""
        batch = settings.classes_per_batch * settings.samples_per_class
        # The weights, their gradients (in chunks also the sum so far), the optimizer's copies.
        weights = self.weights * (2 + chunked + SLOTS[settings.optimizer])
        references = batch * (1 + settings.memory_batches)
        pairs = PAIR_MATRICES * FLOAT * batch * references
        memory = FLOAT * settings.memory_batches * batch * settings.embedding_size
        # uint8: the batch in use, and those that ``train_dataset`` prefetches.
        images = (1 + PREFETCHED) * batch * 3 * settings.image_size**2
        return self.operations * PER_OPERATION + weights + pairs + memory + images

    def total(self, settings: TrainSettings, replicas: int = 1) -> int:
        """Return the bytes one replica needs."""
        batch = -(-settings.classes_per_batch * settings.samples_per_class // replicas)
        chunked = 0 < settings.chunk_size < batch
        images = settings.chunk_size if chunked else batch
        return round(images * self.per_image + self.fixed(settings, chunked=chunked))


def estimate_training_memory(settings: TrainSettings) -> int:
    """Estimate what the training of a whole network takes beside what the program itself takes.

    Counted are the activations that are kept for the backward pass, for one batch or one chunk;
    weights, gradients and the optimizer's copies; batches of images; the loss's matrices of
    pairs and the cross-batch memory; and TensorFlow's own memory per operation, as measured on a
    CPU. Not counted are images cached in memory (``cache_images_gb``) and weights of the loss.

    Against the peaks that ``benchmarks/memory.py`` measures, in GiB:

    | backbone, 224 px | batch | chunk | measured | estimated |
    |---|---|---|---|---|
    | DenseNet169 | 60 | all | 10.0 | 10.3 |
    | DenseNet169 | 60 | 20 | 4.9 | 4.5 |
    | DenseNet169 | 20 | all | 4.6 | 4.4 |
    | Inception V1 | 120 | all | 4.6 | 4.7 |
    | Inception V1 | 120 | 20 | 1.0 | 1.2 |
    | Inception V1 | 20 | all | 1.1 | 1.1 |

    With frozen batch norms, at 64 to 160 px: EfficientNet-Lite0 1.05 measured, 0.86 estimated (in
    chunks 0.46, 0.39), ResNet50 0.96, 1.17, DINOv2 1.06, 1.30, conv4 0.11, 0.13.

    Args:
        settings: Resolved settings of a training that does not freeze the backbone.

    Returns:
        Bytes, of each device.
    """
    return dry_run(settings).total(settings, replica_count(settings))


def replica_count(settings: TrainSettings) -> int:
    """Return how many devices share a batch."""
    if settings.distribute != "mirrored":
        return 1
    return max(1, len(tf.config.list_physical_devices("GPU")))


def dry_run(settings: TrainSettings) -> Footprint:
    """Build the network, trace forward and backward pass, and go through the graph on paper.

    Args:
        settings: Resolved settings of a training that does not freeze the backbone.

    Returns:
        The footprint, for any batch, chunk size, loss and optimizer.
    """
    with tf.device("CPU:0"), mixed_precision(settings.mixed_precision):
        network = build_network(settings.with_(weights="none"))
        if has_frozen_batch_norm(settings):
            freeze_batch_norm(network.get_layer("backbone"))
        outputs = _trace(network)
    operations = outputs[0].graph.get_operations()
    return Footprint(
        peak_bytes(outputs) / DRY_BATCH, FLOAT * network.count_params(), len(operations)
    )


def _trace(network: keras.Model) -> list[tf.Tensor]:
    def step(images: tf.Tensor, outer: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            embeddings = tf.cast(network(images, training=True), tf.float32)
        variables = network.trainable_variables
        return embeddings, tape.gradient(embeddings, variables, output_gradients=outer)

    images = tf.TensorSpec((DRY_BATCH, *network.input_shape[1:]), tf.uint8)
    outer = tf.TensorSpec((DRY_BATCH, network.output_shape[-1]))
    return tf.function(step, autograph=False).get_concrete_function(images, outer).outputs


def peak_bytes(outputs: list[tf.Tensor]) -> int:
    """Return the most memory that a graph holds at one time, run in the order it was written.

    A tensor lives from the operation that makes it to the last one that reads it. Weights and
    inputs are not counted.

    Args:
        outputs: The graph's outputs, all of one graph; what they do not depend on never runs.

    Returns:
        Bytes.
    """
    order = _operations_before(outputs)
    # Tensors by where their memory is, and when each memory is read last.
    owner, last = {}, {}
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
    freed = defaultdict(int)
    live = peak = 0
    for position, op in enumerate(order):
        for tensor in op.outputs if op.type not in GIVEN else []:
            if tensor.ref() not in owner:
                live += _size(tensor)
                freed[last[tensor.ref()]] += _size(tensor)
        peak = max(peak, live)
        live -= freed[position]
    return peak


def _operations_before(outputs: list[tf.Tensor]) -> list[tf.Operation]:
    """Return the operations that outputs depend on, in the order they were written."""
    needed, stack = set(), [tensor.op for tensor in outputs]
    while stack:
        op = stack.pop()
        if op not in needed:
            needed.add(op)
            stack += [tensor.op for tensor in op.inputs]
    return [op for op in outputs[0].graph.get_operations() if op in needed]


def _size(tensor: tf.Tensor) -> int:
    return (tensor.shape.num_elements() or 0) * tensor.dtype.size
