"""What a ranking model does with the embeddings of one batch."""

import tensorflow as tf

from retrieval.losses.batch import LARGEST_COMPONENT


def gather_replicas(
    labels: tf.Tensor, embeddings: tf.Tensor, replicas: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Concatenate the batch over replicas, so that pairs across replicas count.

    Args:
        labels: (B,) of this replica.
        embeddings: (B, D) of this replica.
        replicas: Replicas in sync; 1 returns the inputs.

    Returns:
        Labels (R * B,) and embeddings (R * B, D), differentiable.
    """
    if replicas == 1:
        return labels, embeddings
    context = tf.distribute.get_replica_context()
    return context.all_gather(labels, axis=0), context.all_gather(embeddings, axis=0)


def relative_spread(embeddings: tf.Tensor) -> tf.Tensor:
    """Return how far embeddings (B, D) lie from their mean, relative to their length: scalar.

    0 means that every image gets the same embedding (collapse); about 1 is usual. NaN means that
    the embeddings are so large that a loss would clip them (see :func:`losses.batch.bounded`): a
    loss stays finite then, and only this shows that the training has diverged.
    """
    centred = embeddings - tf.reduce_mean(embeddings, axis=0, keepdims=True)
    within = tf.reduce_mean(tf.reduce_sum(tf.square(centred), axis=1))
    squares = tf.reduce_sum(tf.square(embeddings), axis=1)
    total = tf.reduce_mean(squares)
    spread = tf.sqrt(within / tf.maximum(total, 1e-30))
    # What `bounded` goes by; NaN is not within either.
    return tf.where(tf.reduce_sum(squares) <= LARGEST_COMPONENT**2, spread, float("nan"))
