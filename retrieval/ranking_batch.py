"""What a ranking model does with the embeddings of one batch."""

import tensorflow as tf


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

    0 means that every image gets the same embedding (collapse); about 1 is usual.
    """
    centred = embeddings - tf.reduce_mean(embeddings, axis=0, keepdims=True)
    within = tf.reduce_mean(tf.reduce_sum(tf.square(centred), axis=1))
    total = tf.reduce_mean(tf.reduce_sum(tf.square(embeddings), axis=1))
    return tf.sqrt(within / tf.maximum(total, 1e-30))
