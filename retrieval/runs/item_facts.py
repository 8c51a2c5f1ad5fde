"""What an item's own columns, such as its price, look like in every place that shows them."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd

NO_VALUE = "–"
LONGEST = 80  # characters of a text in a caption
SAMPLE = 10_000  # values that tell what a column is like
MOST_DECIMALS = 3


@dataclass(frozen=True)
class Fact:
    """One column of an item, as a caption shows it.

    Attributes:
        name: Name of the column.
        text: Its value.
        url: Web address to open on a click; empty if the value is none. Defaults to none.
    """

    name: str
    text: str
    url: str = ""


@dataclass(frozen=True)
class Style:
    """How the values of one column are written.

    Attributes:
        decimals: Decimals of its numbers, equally many; None for four digits of each.
        is_date: Whether its times are days, so that no hour is written.
    """

    decimals: int | None = None
    is_date: bool = False


def style_of(column: pd.Series) -> Style:
    """Return how the values of a column are written, by its first values.

    >>> style_of(pd.Series([2.7, 3.0, 1.25])).decimals
    2
    """
    first = column.iloc[:SAMPLE]
    if pd.api.types.is_datetime64_any_dtype(first):
        known = first.dropna()
        return Style(is_date=bool((known == known.dt.normalize()).all()))
    if pd.api.types.is_float_dtype(first):
        return Style(_decimals(first))
    return Style()


def fact(name: str, value: Any, style: Style) -> Fact:
    """Return one column of an item as a caption shows it.

    Args:
        name: Name of the column.
        value: The item's value.
        style: See :func:`style_of`.
    """
    if address := web_address(value):
        host = urlsplit(address).hostname or ""
        return Fact(name, host.removeprefix("www."), address)
    return Fact(name, value_text(value, style))


def value_text(value: Any, style: Style) -> str:
    """Write one value of a column for people.

    Args:
        value: The value.
        style: How its column is written, see :func:`style_of`.
    """
    if is_missing(value):
        return NO_VALUE
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, pd.Timestamp):
        if style.is_date:
            return str(value.date())
        return f"{value:%Y-%m-%d %H:%M}{' UTC' if value.tzinfo else ''}"
    if isinstance(value, int | np.integer):
        return str(value)
    if isinstance(value, float | np.floating):
        return f"{value:.4g}" if style.decimals is None else f"{value:.{style.decimals}f}"
    text = " ".join(str(value).split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def json_value(value: Any, style: Style) -> Any:
    """Return one value of a column as JSON has it, for programs.

    A day is written without an hour, as ``2024-12-12``; numbers stay numbers, and a missing or
    infinite one is None.

    Args:
        value: The value.
        style: How its column is written, see :func:`style_of`.
    """
    if is_missing(value):
        return None
    if isinstance(value, np.float16 | np.float32):
        value = float(str(value))  # 9.99 rather than 9.989999771118164
    elif isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, pd.Timestamp) and style.is_date:
        return str(value.date())
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def is_missing(value: Any) -> bool:
    """Tell whether an item has no value in a column."""
    return value is None or (not isinstance(value, list | dict | np.ndarray) and pd.isna(value))


def web_address(value: object) -> str:
    """Return a value if it is the address of a web page, which is safe to link to; else nothing.

    >>> web_address("https://shop.example/1"), web_address("javascript:alert(1)")
    ('https://shop.example/1', '')
    """
    if not isinstance(value, str) or not value.isprintable() or any(c in value for c in " <>\"'\\"):
        return ""
    try:
        parts = urlsplit(value)
        host = parts.hostname
    except ValueError:
        return ""
    return value if parts.scheme.lower() in ("http", "https") and host else ""


def _decimals(column: pd.Series) -> int | None:
    """Return how many decimals write the numbers of a column in full; None if too many."""
    values = column.iloc[:SAMPLE].to_numpy(dtype=np.float64, na_value=np.nan)
    values = values[np.isfinite(values)]
    if len(values) and np.abs(values).max() >= 1e9:
        return None
    for decimals in range(MOST_DECIMALS + 1):
        if np.allclose(values, np.round(values, decimals), rtol=0, atol=1e-9):
            return decimals
    return None
