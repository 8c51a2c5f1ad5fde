"""From a point of a loss's search space to settings of a training, and to Optuna's terms."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from retrieval.losses import LOSSES
from retrieval.losses.search_space import Choice, Dimension, Real

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


def settings_of(loss: str, point: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a training at a point of a loss's search space.

    Args:
        loss: A key of :data:`retrieval.losses.LOSSES`.
        point: Name -> value, see :func:`retrieval.losses.registry.search_space`.

    Returns:
        Setting -> value, with the loss's own options below ``loss_options``.
    """
    own = LOSSES[loss].space.options
    options = {name: value for name, value in point.items() if name in own}
    rest = {name: value for name, value in point.items() if name not in own}
    return rest | ({"loss_options": options} if options else {})


def distribution(dimension: Dimension) -> "BaseDistribution":
    """Return a dimension in Optuna's terms."""
    from optuna import distributions

    if isinstance(dimension, Choice):
        return distributions.CategoricalDistribution(dimension.values)
    if isinstance(dimension, Real):
        return distributions.FloatDistribution(dimension.low, dimension.high, log=dimension.log)
    return distributions.IntDistribution(dimension.low, dimension.high, log=dimension.log)
