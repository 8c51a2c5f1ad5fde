"""Triplet loss with a choice of miners."""

from collections.abc import Callable

import keras
import tensorflow as tf

from retrieval.losses.base import PairLoss
from retrieval.losses.miners import (
    Triplets,
    batch_hard,
    distance_weighted,
    easy_positive,
    multi_similarity_triplets,
    semi_hard,
)
from retrieval.losses.ops.distances import (
    all_distances,
    cosines,
    euclidean_distances,
    unit_rows,
)
from retrieval.losses.ops.pairs import Pairs, apply_margin, mean_over
from retrieval.validation import Distance, check_choice, check_margin, check_seed, choices_of


def _distance_weighted(pairs: Pairs, _: tf.Tensor, seed: tf.Tensor | None) -> Triplets:
    unit = None if pairs.references is None else unit_rows(pairs.references)
    distances = euclidean_distances(unit_rows(pairs.anchors), unit)
    size = tf.cast(tf.shape(pairs.anchors)[1], tf.float32)
    return distance_weighted(
        tf.stop_gradient(distances), pairs.positives, pairs.negatives, size, seed
    )


def _multi_similarity(pairs: Pairs, *_: tf.Tensor | None) -> Triplets:
    similarities = tf.stop_gradient(cosines(pairs.anchors, pairs.references))
    return multi_similarity_triplets(similarities, pairs.positives, pairs.negatives)


# Each takes the pairs, their distances (A, R) and, if it draws, a seed (2,) int32.
MINERS: dict[str, Callable[[Pairs, tf.Tensor, tf.Tensor | None], Triplets]] = {
    "batch_hard": lambda pairs, d, _: batch_hard(d, pairs.positives, pairs.negatives),
    "semi_hard": lambda pairs, d, _: semi_hard(d, pairs.positives, pairs.negatives),
    "easy_positive": lambda pairs, d, _: easy_positive(d, pairs.positives, pairs.negatives),
    "distance_weighted": _distance_weighted,
    "multi_similarity": _multi_similarity,
}
DRAWING = ("distance_weighted",)  # the miners that draw at random


@keras.saving.register_keras_serializable(package="retrieval")
class MinedTriplet(PairLoss):
    r"""Triplet loss over the triplets that a miner of your choice picks.

    $$
    L = \frac{1}{|T|} \sum_{(a, p, n) \in T} \left[ m + d(a, p) - d(a, n) \right]_+
    $$

    The miners that pick the triplets $T$, each from the paper that proposed it:

    * ``"batch_hard"``: one triplet per anchor, its furthest positive and closest negative (Hermans
      et al. 2017, eq. 5). With ``margin=1.0, distance="euclidean"`` this is ``hard_triplet``.
    * ``"semi_hard"``: one per positive pair, with the closest negative beyond the positive, or the
      furthest negative if there is none (Schroff et al. 2015). This is ``semi_hard_triplet``.
    * ``"easy_positive"``: one per anchor, its closest positive and closest negative (Xuan et al.
      2020, "EPHN"), which leaves a class free to form several clusters. This is ``hard_triplet``
      with ``positives="easiest"``.
    * ``"distance_weighted"``: one per positive pair, with a negative drawn so that all distances
      are about equally frequent (Wu et al. 2017).
    * ``"multi_similarity"``: the pairs that Wang et al. 2019 keep (eqs. 11 and 12, epsilon 0.1).
      Those equations compare a pair with its anchor's hardest pair of the other kind, and the two
      are the triplet: a kept positive with the most similar negative, a kept negative with the
      least similar positive.

    The last two are defined on the unit sphere: they mine by angle, whatever the distance is.

    Args:
        margin: Margin $m$, at least 0. ``"soft"`` replaces the hinge $[m + x]_+$ by the soft margin
            $\log(1 + e^x)$; ``"none"`` replaces it by $x$ itself. Defaults to 0.2.
        miner: How triplets are picked, see above. Defaults to "easy_positive".
        distance: Distance $d$: ``"euclidean"``, ``"squared_euclidean"``, ``"cityblock"`` or
            ``"cosine"`` (one minus the cosine). Defaults to "squared_euclidean".
        seed: Seed of the draws of ``"distance_weighted"``. Defaults to 0.
        name: Name of the loss in Keras' logs. Defaults to "mined_triplet".

    Shapes:
        Labels (B,), embeddings (B, D) -> scalar, float32.

    Reference:
        Schroff, Kalenichenko, Philbin (2015): FaceNet: A Unified Embedding for Face Recognition and
        Clustering, CVPR, eq. 3. arXiv:1503.03832.

        Default miner: Xuan, Stylianou, Pless (2020): Improved Embeddings with Easy Positive Triplet
        Mining, WACV. arXiv:1904.04370.

    Example:
        Anchors 0 and 1 have a positive at distance 1, and a negative at distance 3 and 2: (max(1.5
        + 1 - 3, 0) + max(1.5 + 1 - 2, 0)) / 2.

        >>> from retrieval.losses import MinedTriplet
        >>> loss = MinedTriplet(margin=1.5, miner="batch_hard", distance="euclidean")
        >>> float(loss([0, 0, 1], [[0.0], [1.0], [3.0]]))
        0.25
    """

    def __init__(
        self,
        margin: float | str = 0.2,
        miner: str = "easy_positive",
        distance: str = "squared_euclidean",
        seed: int = 0,
        name: str = "mined_triplet",
    ) -> None:
        super().__init__(name)
        self.margin = check_margin(margin, ("soft", "none"))
        self.miner = check_choice("miner", miner, MINERS)
        self.distance = check_choice("distance", distance, choices_of(Distance))
        self.seed = check_seed("seed", seed)

    @property
    def needs_sizes(self) -> bool:
        """False, because the random state does not depend on the sizes."""
        return False

    def add_variables(self, num_classes: int, embedding_size: int) -> None:
        """Create the state of the draws, if the miner draws."""
        if self.miner in DRAWING:
            self._draws = keras.random.SeedGenerator(self.seed)
            self.non_trainable_variables = [self._draws.state]

    def from_pairs(self, pairs: Pairs) -> tf.Tensor:
        """Compute the scalar loss from the pairs."""
        distances = all_distances(self.distance, pairs.anchors, pairs.references)
        mined = self.mine(pairs, distances)
        # One gather for both sides: its gradient is one scatter into an (A, R) matrix.
        columns = tf.stack([mined.positives, mined.negatives])
        places = mined.anchors * tf.shape(distances)[1] + columns
        positive, negative = tf.unstack(tf.gather(tf.reshape(distances, [-1]), places))
        return mean_over(apply_margin(positive - negative, self.margin), mined.valid)

    def mine(self, pairs: Pairs, distances: tf.Tensor) -> Triplets:
        """Pick triplets by the miner; one that draws picks others with every call.

        Args:
            pairs: The pairs of A anchors and R references.
            distances: (A, R) float32, from anchors to references.

        Returns:
            The triplets.
        """
        seed = None
        if self.miner in DRAWING:
            self.build_itself()
            seed = tf.cast(self._draws.next(), tf.int32)
        return MINERS[self.miner](pairs, tf.stop_gradient(distances), seed)
