"""Batch-hard triplet loss."""

import keras
import tensorflow as tf

from retrieval.losses.base import PairLoss
from retrieval.losses.miners import batch_hard, easy_positive
from retrieval.losses.ops.distances import paired_distances, rank_distances
from retrieval.losses.ops.pairs import Pairs, apply_margin, mean_over
from retrieval.validation import Distance, check_choice, check_margin, choices_of

MINERS = {"hardest": batch_hard, "easiest": easy_positive}  # by the choice of positives


@keras.saving.register_keras_serializable(package="retrieval")
class HardTriplet(PairLoss):
    r"""Batch-hard triplet loss: each anchor's furthest positive against its closest negative.

    $$
    L = \frac{1}{|A|} \sum_{a \in A} \left[ m + \max_{p: y_p = y_a} d(a, p)
        - \min_{n: y_n \ne y_a} d(a, n) \right]_+
    $$

    The mean is over the anchors $A$ that have a positive and a negative in the batch. With
    ``positives="easiest"`` the maximum over $p$ becomes a minimum: easy positives and hard
    negatives, which leave a class free to form several clusters.

    Args:
        margin: Margin $m$, at least 0. ``"soft"`` replaces the hinge $[m + x]_+$ by the soft margin
            $\log(1 + e^x)$; ``"none"`` replaces it by $x$ itself. Defaults to 1.0.
        distance: Distance $d$: ``"euclidean"``, ``"squared_euclidean"``, ``"cityblock"`` or
            ``"cosine"`` (one minus the cosine). Defaults to "euclidean".
        positives: Which of an anchor's positives is taken: ``"hardest"``, the furthest one, or
            ``"easiest"``, the closest one. Defaults to "hardest".
        name: Name of the loss in Keras' logs. Defaults to "hard_triplet".

    Shapes:
        Labels (B,), embeddings (B, D) -> scalar, float32.

    Reference:
        Hermans, Beyer, Leibe (2017): In Defense of the Triplet Loss for Person Re-Identification,
        eq. 5 ("batch hard"). arXiv:1703.07737.

        Easy positives: Xuan, Stylianou, Pless (2020): Improved Embeddings with Easy Positive
        Triplet Mining, WACV. arXiv:1904.04370.

    Example:
        Anchors 0 and 1 have a positive at distance 1, and a negative at distance 3 and 2; anchor 2
        has no positive: (max(1.5 + 1 - 3, 0) + max(1.5 + 1 - 2, 0)) / 2.

        >>> from retrieval.losses import HardTriplet
        >>> loss = HardTriplet(margin=1.5)
        >>> float(loss([0, 0, 1], [[0.0], [1.0], [3.0]]))
        0.25
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
        self.distance = check_choice("distance", distance, choices_of(Distance))
        self.positives = check_choice("positives", positives, MINERS)

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
