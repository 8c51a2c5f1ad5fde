"""Ranked list loss."""

import keras
import tensorflow as tf

from retrieval.losses.base import PairLoss
from retrieval.losses.ops.distances import euclidean_distances
from retrieval.losses.ops.pairs import Pairs
from retrieval.validation import check_number


@keras.saving.register_keras_serializable(package="retrieval")
class RankedList(PairLoss):
    r"""Ranked list loss: positives within one boundary, negatives beyond another.

    $$
    L = \frac{1}{B} \sum_i (1 - \lambda) \sum_{j \in P_i} w_{ij} \left( D_{ij} - (\alpha - m)
        \right) + \lambda \sum_{j \in N_i} w_{ij} \left( \alpha - D_{ij} \right)
    $$

    with Euclidean distances $D$ between unit embeddings. $P_i$ are the positives beyond $\alpha -
    m$ and $N_i$ the negatives within $\alpha$. The weights $w$ sum to 1 over each set, are
    proportional to $e^{T_p (D - (\alpha - m))}$ and $e^{T_n (\alpha - D)}$, and carry no gradient,
    as in the paper.

    Args:
        alpha: Boundary $\alpha$ of the negatives, above 0. Defaults to 1.2.
        margin: Margin $m$ between the boundaries of positives and negatives, at least 0. Defaults
            to 0.4.
        negative_temperature: $T_n$, at least 0: the larger, the more the closest negatives weigh. 0
            weighs all alike. Defaults to 10.0.
        positive_temperature: $T_p$, at least 0: the larger, the more the furthest positives weigh.
            0 weighs all alike. Defaults to 0.0.
        balance: Weight $\lambda$ of the negatives, from 0 to 1; the positives have the rest.
            Defaults to 0.5.
        name: Name of the loss in Keras' logs. Defaults to "ranked_list".

    Shapes:
        Labels (B,), embeddings (B, D) -> scalar, float32.

    Reference:
        Wang, Hua, Kodirov, Hu, Garnier, Robertson (2019): Ranked List Loss for Deep Metric
        Learning, CVPR. arXiv:1903.03238.

    Example:
        The positive distance of 1 exceeds 1.2 - 0.4 by 0.2; the negative is 1.8 and 0.8 away, of
        which 0.8 falls short of 1.2 by 0.4: 0.5 (0.2 + 0.2) / 3 + 0.5 (0.4 + 0.4) / 3.

        >>> from retrieval.losses import RankedList
        >>> loss = RankedList()
        >>> round(float(loss([0, 0, 1], [[0.0], [1.0], [1.8]])), 4)
        0.2
    """

    def __init__(
        self,
        alpha: float = 1.2,
        margin: float = 0.4,
        negative_temperature: float = 10.0,
        positive_temperature: float = 0.0,
        balance: float = 0.5,
        name: str = "ranked_list",
    ) -> None:
        super().__init__(name)
        self.alpha = check_number("alpha", alpha, above=0)
        self.margin = check_number("margin", margin, least=0)
        self.negative_temperature = check_number(
            "negative_temperature", negative_temperature, least=0
        )
        self.positive_temperature = check_number(
            "positive_temperature", positive_temperature, least=0
        )
        self.balance = check_number("balance", balance, least=0, most=1)

    def from_pairs(self, pairs: Pairs) -> tf.Tensor:
        """Compute the scalar loss from the pairs."""
        distances = euclidean_distances(pairs.anchors, pairs.references)
        excess = distances - (self.alpha - self.margin)
        pull = weighted_violation(excess, pairs.positives, self.positive_temperature)
        lack = self.alpha - distances
        push = weighted_violation(lack, pairs.negatives, self.negative_temperature)
        return tf.reduce_mean((1 - self.balance) * pull + self.balance * push)


def weighted_violation(violations: tf.Tensor, mask: tf.Tensor, temperature: float) -> tf.Tensor:
    """Average the violations above 0 of each row, weighing large ones more.

    Args:
        violations: (A, R) float32, of anchors and references.
        mask: (A, R) bool, True for the pairs that count.
        temperature: Temperature T of the weights exp(T * violation), which carry no gradient.

    Returns:
        (A,); 0 for rows without a violation above 0.
    """
    chosen = mask & (violations > 0)
    exponents = tf.where(chosen, temperature * tf.stop_gradient(violations), float("-inf"))
    # At least a finite number: an empty row must not compute inf - inf.
    weights = tf.exp(exponents - tf.maximum(tf.reduce_max(exponents, 1, keepdims=True), -1e30))
    total = tf.reduce_sum(weights * violations, axis=1)
    return tf.math.divide_no_nan(total, tf.reduce_sum(weights, axis=1))
