"""Checks of the losses' options: one line that names the option, the value and the fix."""

import math
from collections.abc import Iterable

import tensorflow as tf

from retrieval.errors import UserError


def check_choice(option: str, value: object, choices: Iterable) -> None:
    """Refuse a value that is not one of the choices.

    Raises:
        UserError: Names the option and the choices.
    """
    choices = list(choices)
    if value not in choices:
        raise UserError(
            f"option {option} = {value!r}: choose one of {', '.join(map(str, choices))}"
        )


def check_number(
    option: str, value: object, low: float | None = None, high: float | None = None
) -> None:
    """Refuse a value that is not a finite number in (low, high).

    Raises:
        UserError: Names the option and the open interval.
    """
    number = _is_number(value)
    if not number or (low is not None and value <= low) or (high is not None and value >= high):
        limits = [f"above {low}"] * (low is not None) + [f"below {high}"] * (high is not None)
        raise UserError(
            f"option {option} = {value!r}: give a number {' and '.join(limits)}".strip()
        )


def check_integer(option: str, value: object, least: int) -> None:
    """Refuse a value that is not a whole number of at least ``least``.

    Raises:
        UserError: Names the option and the least.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise UserError(f"option {option} = {value!r}: give a whole number of at least {least}")


def check_flag(option: str, value: object) -> None:
    """Refuse a value that is not true or false.

    Raises:
        UserError: Names the option.
    """
    if not isinstance(value, bool):
        raise UserError(f"option {option} = {value!r}: give true or false")


def _is_number(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value)


def check_margin(value: object, words: tuple[str, ...]) -> None:
    """Refuse a margin that is neither a finite number nor one of the words.

    Raises:
        UserError: Names the valid words.
    """
    if not _is_number(value) and value not in words:
        raise UserError(
            f"option margin = {value!r}: give a number or {' or '.join(map(repr, words))}"
        )


def apply_margin(gaps: tf.Tensor, margin: float | str) -> tf.Tensor:
    """Turn gaps (positive minus negative distance) into losses of the same shape.

    Args:
        gaps: Any shape.
        margin: A number m gives max(gap + m, 0); ``soft`` gives log(1 + exp(gap)); ``none`` gives
            the gap itself.

    Returns:
        The losses.
    """
    if margin == "soft":
        return tf.nn.softplus(gaps)
    return gaps if margin == "none" else tf.nn.relu(gaps + float(margin))
