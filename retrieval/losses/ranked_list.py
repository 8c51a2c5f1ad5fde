"""Ranked list loss."""

import keras
import tensorflow as tf

from retrieval.losses.base import PairLoss
from retrieval.losses.ops.distances import euclidean_distances
from retrieval.losses.ops.pairs import Pairs
from retrieval.validation import check_number


@keras.saving.register_keras_serializable(package="retrieval")
class RankedList(PairLoss):
    r"""Ranked list loss (Wang et al. 2019).

    .. math::
        L = \frac{1}{B} \sum_i (1 - \lambda) \sum_{j \in P_i} w_{ij} \left( D_{ij} - (\alpha - m)
            \right) + \lambda \sum_{j \in N_i} w_{ij} \left( \alpha - D_{ij} \right)

    with Euclidean D on unit embeddings. :math:`P_i` are the positives beyond :math:`\alpha - m`,
    :math:`N_i` the negatives within :math:`\alpha`; the weights w add up to 1 over each set, are
    proportional to :math:`e^{T_p (D - (\alpha - m))}` and :math:`e^{T_n (\alpha - D)}`, and carry
    no gradient, as in the paper.

    Args:
        alpha: Boundary of the negatives.
        margin: m between the boundaries of positives and negatives.
        negative_temperature: T_n.
        positive_temperature: T_p; 0 weighs all alike.
        balance: lambda.
        name: Name in Keras' logs.
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
        self.alpha = check_number("alpha", alpha, 0)
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
    """Average the positive violations of each row, weighing large ones more.

    Args:
        violations: (A, R) float32.
        mask: (A, R) bool.
        temperature: T of the weights exp(T * violation), which carry no gradient.

    Returns:
        (A,); 0 for rows without a positive violation.
    """
    chosen = mask & (violations > 0)
    exponents = tf.where(chosen, temperature * tf.stop_gradient(violations), float("-inf"))
    # At least a finite number: an empty row must not compute inf - inf.
    weights = tf.exp(exponents - tf.maximum(tf.reduce_max(exponents, 1, keepdims=True), -1e30))
    total = tf.reduce_sum(weights * violations, axis=1)
    return tf.math.divide_no_nan(total, tf.reduce_sum(weights, axis=1))
