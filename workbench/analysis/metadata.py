"""What an item's own columns, such as its price, look like beside its picture."""

import re
from collections.abc import Sequence
from dataclasses import asdict
from urllib.parse import urlsplit

import pandas as pd

from retrieval.runs.item_facts import SAMPLE, fact, style_of, web_address
from retrieval.runs.records import metadata_columns
from retrieval.runs.run import Run

SUGGESTED = 2  # columns shown until others are chosen
# Names of prices, in part (also of compounds) and as whole words.
PRICE_PARTS = ("price", "preis", "prix", "precio", "preço", "prezzo", "prijs")
PRICE_WORDS = frozenset({"cost", "cena", "pris", "msrp", "rrp", "uvp", "eur", "usd", "gbp"})
NUMBERS_THAT_NAME = frozenset({"id", "ids", "index", "key", "ean", "gtin", "upc", "sku", "number"})
IMAGE_WORDS = ("image", "img", "picture", "photo", "thumbnail", "thumb")
IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".avif", ".bmp")


def facts(run: Run, row: int, columns: Sequence[str]) -> list[dict[str, str]]:
    """Describe some columns of an item.

    Args:
        run: The run that holds the item.
        row: Row of the item.
        columns: Names of columns; those that the run lacks are left out.

    Returns:
        One mapping of :class:`retrieval.runs.item_facts.Fact` per column.
    """
    items = run.items
    return [
        asdict(fact(name, items[name].iloc[row], style_of(items[name])))
        for name in columns
        if name in items
    ]


def shown_columns(run: Run) -> list[str]:
    """Name the columns that can be shown beside an image, in the order of the table."""
    return metadata_columns(run.items)


def suggested_columns(run: Run) -> list[str]:
    """Name the columns that are shown until others are chosen: the two that tell most of an item.

    A price comes first, then other numbers, then what tells items of one class apart, then what
    only renames the class. A column that writes the class again, which stands above it, and one
    of web addresses are left out. None for a published data set, whose columns serve its protocol.
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


def _is_column_of_addresses(column: pd.Series) -> bool:
    known = column.dropna().iloc[:20]
    return len(known) > 0 and all(bool(web_address(value)) for value in known)
