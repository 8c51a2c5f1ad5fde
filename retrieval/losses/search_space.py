"""What may be searched of a loss: the values that its options may take in a fair comparison.

Musgrave, Belongie and Lim (2020), "A Metric Learning Reality Check", found most differences between
losses to come from unequal effort in tuning. So every loss of the registry declares its space, from
the values that its paper tried or recommends, and ``retrieval tune`` spends the same number of
trials on each.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Real:
    """A range of real numbers.

    Attributes:
        low: Smallest value.
        high: Largest value.
        log: Whether equal ratios, rather than equal differences, are equally likely. Defaults to
            False.
    """

    low: float
    high: float
    log: bool = False

    def holds(self, value: object) -> bool:
        """Tell whether a value lies in the range."""
        return isinstance(value, int | float) and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}{' (log)' if self.log else ''}"


@dataclass(frozen=True)
class Whole:
    """A range of whole numbers, with the meaning of :class:`Real`."""

    low: int
    high: int
    log: bool = False

    def holds(self, value: object) -> bool:
        """Tell whether a value lies in the range."""
        return isinstance(value, int) and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low} to {self.high}{' (log)' if self.log else ''}"


@dataclass(frozen=True)
class Choice:
    """Some values, e.g. names.

    Attributes:
        values: The values.
    """

    values: tuple[Any, ...]

    def holds(self, value: object) -> bool:
        """Tell whether a value is one of them."""
        return value in self.values

    def __str__(self) -> str:
        return " or ".join(map(str, self.values))


Dimension = Real | Whole | Choice
# What is searched for every loss, and for those that own weights. Both ranges reach one decade to
# either side of what is recommended: a learning rate of 3e-4, and multiples of 10 or 100.
LEARNING_RATE = Real(3e-5, 3e-3, log=True)
LOSS_MULTIPLIER = Real(1.0, 1000.0, log=True)


@dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """What is searched of one loss, beside what every loss shares.

    Attributes:
        source: Where the ranges come from.
        options: Option of the loss's constructor -> its values.
        settings: Setting of the training -> its values, for what the loss's paper leaves open.
            Defaults to none.
    """

    source: str
    options: Mapping[str, Dimension]
    settings: Mapping[str, Dimension] = field(default_factory=dict)
