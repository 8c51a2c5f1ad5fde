"""What an item's own columns, such as its price, look like beside its picture."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd

from retrieval.runs.records import metadata_columns
from retrieval.runs.run import Run

NO_VALUE = "–"
LONGEST = 80  # characters of a text in a caption
SUGGESTED = 2  # columns shown until others are chosen
SAMPLE = 10_000  # values that tell what a column is like
MOST_DECIMALS = 3
# Names of prices, in part (also of compounds) and as whole words.
PRICE_PARTS = ("price", "preis", "prix", "precio", "preço", "prezzo", "prijs")
PRICE_WORDS = frozenset({"cost", "cena", "pris", "msrp", "rrp", "uvp", "eur", "usd", "gbp"})
NUMBERS_THAT_NAME = frozenset({"id", "ids", "index", "key", "ean", "gtin", "upc", "sku", "number"})
IMAGE_WORDS = ("image", "img", "picture", "photo", "thumbnail", "thumb")
IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".avif", ".bmp")


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


def facts(run: Run, row: int, columns: Sequence[str]) -> list[dict[str, str]]:
    """Describe some columns of an item.

    Args:
        run: The run that holds the item.
        row: Row of the item.
        columns: Names of columns; those that the run lacks are left out.

    Returns:
        One mapping of :class:`Fact` per column.
    """
    items = run.items
    return [asdict(_fact(items[name], row)) for name in columns if name in items]


def shown_columns(run: Run) -> list[str]:
    """Name the columns that can be shown beside an image, in the order of the table."""
    return metadata_columns(run.items)


def suggested_columns(run: Run) -> list[str]:
    """Name the columns that are shown until others are chosen: the two that tell most of an item.

    A price comes first, then other numbers, then what tells items of one class apart, then what
    only renames the class. A column that repeats the class, as the caption above it does, and one of
    web addresses are left out. None for a published data set, whose columns serve its protocol.
    """
    if run.settings is not None and not run.dataset_config.kind:
        return []
    items = run.items.iloc[:: max(1, len(run.items) // SAMPLE)]
    names = [
        name
        for name in metadata_columns(items)
        if items[name].nunique() > 1
        and not _is_column_of_addresses(items[name])
        and not _repeats_class(items[name], items["label_name"])
    ]
    return sorted(names, key=lambda name: _order(items[name], items["label_name"]))[:SUGGESTED]


def _order(column: pd.Series, classes: pd.Series) -> int:
    """Return how late a column is suggested; columns of one number keep the table's order."""
    name = str(column.name)
    words = re.findall(r"[^\W\d_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name))
    plain = [word.lower() for word in words]
    if any(part in name.lower() for part in PRICE_PARTS) or not PRICE_WORDS.isdisjoint(plain):
        return 0
    if pd.api.types.is_bool_dtype(column):
        return 2
    if pd.api.types.is_numeric_dtype(column):
        return 1 if NUMBERS_THAT_NAME.isdisjoint(plain) else 3
    return 3 if _renames(column, classes) else 2


def _repeats_class(column: pd.Series, classes: pd.Series) -> bool:
    """Tell whether a column only writes the class again: ``Red Apple`` of ``red-apple``."""
    known = column.notna()
    return bool(known.any() and (_plain(column[known]) == _plain(classes[known])).all())


def _plain(column: pd.Series) -> pd.Series:
    text = column.astype(str).str.casefold()
    return text.str.replace(r"[\W_]+", " ", regex=True).str.strip()


def _renames(column: pd.Series, classes: pd.Series) -> bool:
    """Tell whether classes of several items have one value each, and no two share it."""
    pairs = pd.DataFrame({"value": column.astype(str), "label": classes.astype(str)})
    distinct = len(pairs.drop_duplicates())
    counts = pairs["value"].nunique(), pairs["label"].nunique()
    return distinct < len(pairs) and counts == (distinct, distinct)


def picture_address(run: Run, row: int) -> str:
    """Return the web address of an item's picture, from a column such as ``image_url``.

    Nothing is fetched: the browser may, when its user asks for it.

    Returns:
        The address; empty without one.
    """
    items = run.items
    for name in metadata_columns(items):
        plain = re.sub(r"[^a-z]+", " ", name.lower())
        if "url" in plain or "link" in plain or "src" in plain:
            address = web_address(items[name].iloc[row])
            is_image = any(word in plain for word in IMAGE_WORDS)
            if address and (is_image or urlsplit(address).path.lower().endswith(IMAGE_ENDINGS)):
                return address
    return ""


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


def _fact(column: pd.Series, row: int) -> Fact:
    value = column.iloc[row]
    if address := web_address(value):
        host = urlsplit(address).hostname or ""
        return Fact(str(column.name), host.removeprefix("www."), address)
    return Fact(str(column.name), value_text(value, column))


def value_text(value: Any, column: pd.Series) -> str:
    """Write one value of a column for people.

    Args:
        value: The value.
        column: Its column; numbers of one column have equally many decimals.
    """
    if value is None or value is pd.NA or value is pd.NaT or value != value:
        return NO_VALUE
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, pd.Timestamp):
        dates = column.iloc[:SAMPLE].dropna()
        if (dates == dates.dt.normalize()).all():
            return str(value.date())
        return value.strftime("%Y-%m-%d %H:%M") + (" UTC" if value.tzinfo else "")
    if isinstance(value, int | np.integer):
        return str(value)
    if isinstance(value, float | np.floating):
        decimals = _decimals(column)
        return f"{value:.4g}" if decimals is None else f"{value:.{decimals}f}"
    text = " ".join(str(value).split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


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


def _is_column_of_addresses(column: pd.Series) -> bool:
    known = column.dropna().iloc[:20]
    return len(known) > 0 and all(bool(web_address(value)) for value in known)
