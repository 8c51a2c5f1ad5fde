"""Checks of the losses' options: one line that names the option, the value and the fix."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from retrieval.errors import UserError


def check_choice(option: str, value: object, choices: Iterable) -> Any:
    """Refuse a value that is not one of the choices.

    Returns:
        The choice.

    Raises:
        UserError: Names the option and the choices.
    """
    choices = list(choices)
    value = _plain(value)
    # No bool: True equals 1.
    if isinstance(value, str | int | float) and not isinstance(value, bool) and value in choices:
        return choices[choices.index(value)]
    raise _refused(option, value, f"choose one of {', '.join(map(str, choices))}")


def check_number(
    option: str,
    value: object,
    low: float | None = None,
    high: float | None = None,
    *,
    least: float | None = None,
    most: float | None = None,
) -> float:
    """Refuse a value that is not a finite number within limits.

    Args:
        option: Its name.
        value: What the user gave; NumPy's numbers are numbers.
        low: Numbers are above it.
        high: Numbers are below it.
        least: Numbers are at least it.
        most: Numbers are at most it.

    Returns:
        The number, as Python's int or float.

    Raises:
        UserError: Names the option and the limits.
    """
    value = _plain(value)
    limits = ((low, "above"), (high, "below"), (least, "at least"), (most, "at most"))
    wanted = " and ".join(f"{word} {limit}" for limit, word in limits if limit is not None)
    within = _is_number(value) and not (
        (low is not None and value <= low)
        or (high is not None and value >= high)
        or (least is not None and value < least)
        or (most is not None and value > most)
    )
    if not within:
        raise _refused(option, value, f"give a number {wanted}".strip())
    return value


def check_integer(option: str, value: object, least: int) -> int:
    """Refuse a value that is not a whole number of at least ``least``.

    Returns:
        The number, as Python's int.

    Raises:
        UserError: Names the option and the least.
    """
    value = _plain(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise _refused(option, value, f"give a whole number of at least {least}")
    return value


def check_flag(option: str, value: object) -> bool:
    """Refuse a value that is not true or false.

    Returns:
        The flag, as Python's bool.

    Raises:
        UserError: Names the option.
    """
    value = _plain(value)
    if not isinstance(value, bool):
        raise _refused(option, value, "give true or false")
    return value


def check_margin(value: object, words: tuple[str, ...]) -> float | str:
    """Refuse a margin that is neither a finite number of at least 0 nor one of the words.

    Returns:
        The margin: a word, or Python's int or float.

    Raises:
        UserError: Names the valid words.
    """
    value = _plain(value)
    word = isinstance(value, str) and value in words
    if not word and not (_is_number(value) and value >= 0):
        fix = " or ".join(["give a number", *map(repr, words)])
        raise _refused("margin", value, f"{fix}; numbers are at least 0")
    return value


def _is_number(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value)


def _plain(value: object) -> object:
    """Turn NumPy's scalars into Python's, which settings files can hold."""
    return value.item() if isinstance(value, np.generic) else value


def _refused(option: str, value: object, fix: str) -> UserError:
    # An array's representation may span lines.
    return UserError(f"option {option} = {' '.join(repr(value).split())}: {fix}")
