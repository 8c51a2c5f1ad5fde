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
    r"""Triplet loss with semi-hard negatives: the closest ones that lie beyond the positive.

    $$
    L = \frac{1}{|P|} \sum_{(a, p) \in P} \left[ m + d^2(a, p) - d^2(a, n_{ap}) \right]_+
    $$

    The mean is over all ordered positive pairs $P$ whose anchor has a negative, with Euclidean
    distances $d$. $n_{ap}$ is the closest negative of $a$ with $d(a, n) > d(a, p)$, or the furthest
    negative if there is none, as in TensorFlow Addons' ``triplet_semihard_loss``.

    Args:
        margin: Margin $m$, at least 0. ``"soft"`` replaces the hinge $[m + x]_+$ by the soft margin
            $\log(1 + e^x)$. Defaults to 0.2.
        name: Name of the loss in Keras' logs. Defaults to "semi_hard_triplet".

    Shapes:
        Labels (B,), embeddings (B, D) -> scalar, float32.

    Reference:
        Schroff, Kalenichenko, Philbin (2015): FaceNet: A Unified Embedding for Face Recognition and
        Clustering, CVPR, sections 3.1 and 3.2. arXiv:1503.03832.

    Example:
        Anchor 0 has its positive at squared distance 4 and negatives at 1 and 9, of which 9 lies
        beyond the positive; anchor 1 has negatives at 1 and 1 only. With margin 6: (6 + 4 - 9 + 6 +
        4 - 1) / 2.

        >>> from retrieval.losses import SemiHardTriplet
        >>> loss = SemiHardTriplet(margin=6.0)
        >>> float(loss([0, 0, 1, 2], [[0.0], [2.0], [1.0], [3.0]]))
        5.0
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
