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
    DISTANCES,
    all_distances,
    cosines,
    euclidean_distances,
    unit_rows,
)
from retrieval.losses.ops.pairs import Pairs, apply_margin, mean_over
from retrieval.validation import check_choice, check_integer, check_margin


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


# Each takes the pairs, their distances (A, R) and, if it draws, a seed (2,).
MINERS: dict[str, Callable[[Pairs, tf.Tensor, tf.Tensor | None], Triplets]] = {
    "batch_hard": lambda pairs, d, _: batch_hard(d, pairs.positives, pairs.negatives),
    "semi_hard": lambda pairs, d, _: semi_hard(d, pairs.positives, pairs.negatives),
    "easy_positive": lambda pairs, d, _: easy_positive(d, pairs.positives, pairs.negatives),
    "distance_weighted": _distance_weighted,
    "multi_similarity": _multi_similarity,
}
DRAWING = ("distance_weighted",)


@keras.saving.register_keras_serializable(package="retrieval")
class MinedTriplet(PairLoss):
    r"""Triplet loss (Schroff 2015, eq. 3) over the triplets that a miner picks.

    .. math::
        L = \frac{1}{|T|} \sum_{(a, p, n) \in T} \left[ m + d(a, p) - d(a, n) \right]_+

    The miners, each from the paper that proposed it:

    * ``batch_hard``: one triplet per anchor, its furthest positive and closest negative (Hermans,
      Beyer, Leibe 2017, eq. 5). With ``margin=1.0, distance="euclidean"`` this is ``hard_triplet``.
    * ``semi_hard``: one per positive pair, with the closest negative beyond the positive, or the
      furthest if none is (Schroff, Kalenichenko, Philbin 2015). This is ``semi_hard_triplet``.
    * ``easy_positive``: one per anchor, its closest positive and closest negative (Xuan,
      Stylianou, Pless 2020, "EPHN"), which leaves a class free to be several clusters. This is
      ``hard_triplet`` with ``positives="easiest"``.
    * ``distance_weighted``: one per positive pair, with a negative drawn so that all distances are
      about equally frequent (Wu, Manmatha, Smola, Krähenbühl 2017).
    * ``multi_similarity``: the pairs that Wang et al. 2019, eqs. 11 and 12, keep with epsilon 0.1.
      Those equations compare a pair with its anchor's hardest pair of the other kind, and the two
      are the triplet: a kept positive with the most similar negative, a kept negative with the
      least similar positive.

    The last two are defined on the unit sphere: they mine by angle, whatever ``distance`` is.

    Args:
        margin: Number m; ``soft`` replaces the hinge by log(1 + exp(.)), ``none`` drops it and m.
        miner: See above.
        distance: d: ``euclidean``, ``squared_euclidean``, ``cityblock`` or ``cosine`` (1 - cosine).
        seed: Seeds the draws of ``distance_weighted``.
        name: Name in Keras' logs.
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
        self.distance = check_choice("distance", distance, DISTANCES)
        self.seed = check_integer("seed", seed, 0)

    @property
    def needs_sizes(self) -> bool:
        """Never: the draws depend on no size."""
        return False

    def add_variables(self, num_classes: int, embedding_size: int) -> None:
        """Create the state of the draws, if the miner draws."""
        if self.miner in DRAWING:
            self._draws = keras.random.SeedGenerator(self.seed)
            self.non_trainable_variables = [self._draws.state]

    def from_pairs(self, pairs: Pairs) -> tf.Tensor:
        """Compute the scalar loss from the pairs."""
        distances = all_distances(self.distance, pairs.anchors, pairs.references)
        mined = MINERS[self.miner](pairs, tf.stop_gradient(distances), self._next_seed())
        # One gather for both sides: its gradient is one scatter into an (A, R) matrix.
        columns = tf.stack([mined.positives, mined.negatives])
        places = mined.anchors * tf.shape(distances)[1] + columns
        positive, negative = tf.unstack(tf.gather(tf.reshape(distances, [-1]), places))
        return mean_over(apply_margin(positive - negative, self.margin), mined.valid)

    def _next_seed(self) -> tf.Tensor | None:
        if self.miner not in DRAWING:
            return None
        self.build_itself()
        return tf.cast(self._draws.next(), tf.int32)
