"""Batch-hard triplet loss."""

import keras
import tensorflow as tf

from retrieval.losses.base import PairLoss
from retrieval.losses.miners import batch_hard, easy_positive
from retrieval.losses.ops.distances import DISTANCES, paired_distances, rank_distances
from retrieval.losses.ops.pairs import Pairs, apply_margin, mean_over
from retrieval.validation import check_choice, check_margin

MINERS = {"hardest": batch_hard, "easiest": easy_positive}


@keras.saving.register_keras_serializable(package="retrieval")
class HardTriplet(PairLoss):
    r"""Batch-hard triplet loss (Hermans 2017, eq. 5, "batch hard").

    .. math::
        L = \frac{1}{|A|} \sum_{a \in A} \left[ m + \max_{p: y_p = y_a} d(a, p)
            - \min_{n: y_n \ne y_a} d(a, n) \right]_+

    over the anchors A that have a positive and a negative in the batch. With
    ``positives="easiest"`` the maximum over p is a minimum: easy positives, hard negatives (Xuan,
    Stylianou, Pless 2020, "Improved Embeddings with Easy Positive Triplet Mining", WACV).

    Args:
        margin: Number m; ``soft`` replaces the hinge by log(1 + exp(.)), ``none`` drops it and m.
        distance: d: ``euclidean``, ``squared_euclidean``, ``cityblock`` or ``cosine`` (1 - cosine).
        positives: ``hardest`` takes an anchor's furthest positive, ``easiest`` its closest.
        name: Name in Keras' logs.
    """

    def __init__(
        self,
        margin: float | str = 1.0,
        distance: str = "euclidean",
        positives: str = "hardest",
        name: str = "hard_triplet",
    ) -> None:
        super().__init__(name)
        self.margin = check_margin(margin, ("soft", "none"))
        self.distance = check_choice("distance", distance, DISTANCES)
        self.positives = check_choice("positives", positives, tuple(MINERS))

    def from_pairs(self, pairs: Pairs) -> tf.Tensor:
        """Compute the scalar loss from the pairs."""
        anchors = pairs.anchors
        references = anchors if pairs.references is None else pairs.references
        ranks = rank_distances(self.distance, anchors, references)
        mined = MINERS[self.positives](ranks, pairs.positives, pairs.negatives)
        # Only the mined pairs carry a gradient, so only they are computed differentiably.
        positive = paired_distances(self.distance, anchors, tf.gather(references, mined.positives))
        negative = paired_distances(self.distance, anchors, tf.gather(references, mined.negatives))
        return mean_over(apply_margin(positive - negative, self.margin), mined.valid)
