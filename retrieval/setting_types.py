"""Turn a setting's value, as YAML or a caller gave it, into the type its field declares."""

import math
import numbers
import os
import types
import typing
from collections.abc import Mapping

from retrieval.errors import UserError

WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    dict: "a mapping, name: value",
}


def as_declared(name: str, value: object, declared: type | types.UnionType) -> object:
    """Return a setting's value in its declared type.

    YAML reads ``1e-4`` as text, so text that is a number will do for one.

    Args:
        name: The setting's name.
        value: What was given.
        declared: ``bool``, ``int``, ``float``, ``str`` or ``dict``, or one of them ``| None``.

    Returns:
        The value.

    Raises:
        UserError: It is of another type, or a number that is not finite.
    """
    kinds = typing.get_args(declared) or (declared,)
    if value is None and types.NoneType in kinds:
        return None
    found = _CONVERT[kinds[0]](value)
    if found is None:
        raise UserError(f"{name} = {value!r}: give {WORDS[kinds[0]]}")
    return found


def _bool(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _float(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, numbers.Real | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _int(value: object) -> int | None:
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return int(value)
    number = _float(value)
    return int(number) if number is not None and number.is_integer() else None


def _str(value: object) -> str | None:
    return os.fspath(value) if isinstance(value, str | os.PathLike) else None


def _dict(value: object) -> dict | None:
    return dict(value) if isinstance(value, Mapping) else None


_CONVERT = {bool: _bool, int: _int, float: _float, str: _str, dict: _dict}


def numbers_in(value: object) -> object:
    """Return numbers for text that is one, as YAML reads ``1e-2``; all else as it is.

    Args:
        value: The value of an option whose type is not declared; the items of a list count singly.

    Returns:
        The value; a whole number as an int.
    """
    if isinstance(value, list | tuple):
        return [numbers_in(each) for each in value]
    number = _float(value) if isinstance(value, str) else None
    if number is None:
        return value
    return int(number) if number.is_integer() else number
