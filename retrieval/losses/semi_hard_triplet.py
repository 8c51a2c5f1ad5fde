"""Semi-hard triplet loss."""

import keras
import tensorflow as tf

from retrieval.losses.base import PairLoss
from retrieval.losses.miners import semi_hard
from retrieval.losses.ops.distances import squared_distances
from retrieval.losses.ops.pairs import Pairs, apply_margin, mean_over
from retrieval.validation import check_margin


@keras.saving.register_keras_serializable(package="retrieval")
class SemiHardTriplet(PairLoss):
    r"""Triplet loss with semi-hard negatives (Schroff 2015, sections 3.1 and 3.2).

    .. math::
        L = \frac{1}{|P|} \sum_{(a, p) \in P} \left[ m + d^2(a, p) - d^2(a, n_{ap}) \right]_+

    over all ordered positive pairs P whose anchor has a negative. :math:`n_{ap}` is the closest
    negative of a with :math:`d(a, n) > d(a, p)`, or the furthest negative if there is none, as in
    TensorFlow Addons' ``triplet_semihard_loss``.

    Args:
        margin: Number m, or ``soft``, which replaces the hinge by log(1 + exp(.)).
        name: Name in Keras' logs.
    """

    def __init__(self, margin: float | str = 0.2, name: str = "semi_hard_triplet") -> None:
        super().__init__(name)
        self.margin = check_margin(margin, ("soft",))

    def from_pairs(self, pairs: Pairs) -> tf.Tensor:
        """Compute the scalar loss from the pairs."""
        squared = squared_distances(pairs.anchors, pairs.references)
        mined = semi_hard(tf.stop_gradient(squared), pairs.positives, pairs.negatives)
        # One gather for both sides: its gradient is one scatter into an (A, R) matrix.
        columns = tf.stack([mined.positives, mined.negatives])
        rows = tf.broadcast_to(mined.anchors, tf.shape(columns))
        positive, negative = tf.unstack(tf.gather_nd(squared, tf.stack([rows, columns], axis=-1)))
        return mean_over(apply_margin(positive - negative, self.margin), mined.valid)
