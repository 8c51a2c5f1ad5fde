"""Metadata: what people know about their own images besides the class, such as prices and dates.

Every column that somebody brings along stays with the items to the run, in its own type: whole
numbers, numbers, flags, dates, categories and text, missing where a row has no value. Lists are
text, so the type of a column is told by all of its values; Parquet files have types, which are
kept.
"""

import datetime
import json
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from retrieval.datasets.catalog import CONTRACT_COLUMNS
from retrieval.datasets.image_files import printable
from retrieval.errors import UserError

PREFIX = "meta_"  # before a name that the run uses itself
WHOLE = r"0|-?[1-9]\d{0,17}"  # 007 and +49 30 are codes, and 20 digits are more than int64 holds
NUMBER = r"-?(?:0|[1-9]\d*)?(?:\.\d+)?(?:[eE][+-]\d+)?"
# With a decimal comma, and points between thousands or none: 1.299,00 or 1299,00.
COMMA_NUMBER = r"-?(?:\d+|\d{1,3}(?:\.\d{3})+)(?:,\d+)?"
# 1,299 alone may be of thousands, as English writes them.
PLAINLY_DECIMAL = r",(?:\d{1,2}|\d{4,})$|\..*,"
DATE = r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}.*)?"
MOSTLY = 0.8  # share of the values of a column from which others may be mistakes
EXACT_DIGITS = 15  # of a whole number that float64 holds
FLAGS = {"true": True, "false": False}
# In a column of anything but text, these stand for no value; in a text they are words.
NO_VALUE = ("na", "n/a", "nan", "null", "none", "<na>", "-")
LONGEST_VECTOR = 8  # numbers in a list; more are an embedding and not metadata
SHOWN = 6  # names of columns in a line
UNIT = "us"  # of dates: what Parquet and pandas both hold, for the years -290,000 to 290,000


def typed_column(values: Sequence[str | None] | pd.Series) -> pd.Series:
    """Give a column of text the type that all of its values have.

    >>> typed_column(["1", "", "30"]).tolist()
    [1, <NA>, 30]
    >>> typed_column(["9.50", "12"]).tolist(), typed_column(["007", "12"]).tolist()
    ([9.5, 12.0], ['007', '12'])
    >>> str(typed_column(["2024-02-29", "NA"]).dtype)
    'datetime64[us]'

    Args:
        values: (n,), text of each row; missing or empty without a value.

    Returns:
        (n,), int64, float64, bool, datetime64 (in UTC if the texts have time zones) or text. Whole
        numbers and flags with missing values are of pandas' nullable types. Codes such as ``007``
        and ``+49``, and numbers that would lose digits, stay text.
    """
    texts = pd.Series(values, dtype="str").reset_index(drop=True)
    texts = texts.where(texts != "")
    known = texts[texts.notna()]
    words = known.drop_duplicates()
    words = words[~words.str.strip().str.lower().isin(NO_VALUE)]
    if words.empty:
        return texts
    blank = ~known.isin(set(words))
    for read in (_flags, _whole, _numbers, _dates):
        found = read(words)
        if found is not None:
            by_text = dict(zip(words, found, strict=True))
            each = known[~blank].map(by_text).astype(found.dtype)
            return each.reindex(texts.index).astype(found.dtype) if len(each) == len(texts) else (
                _with_missing(each).reindex(texts.index)
            )  # fmt: skip
    return texts


def text_remarks(table: pd.DataFrame, numbers: Sequence[int], where: object) -> list[str]:
    """Say which columns of text are numbers or dates but for a few values.

    >>> text_remarks(pd.DataFrame({"price": ["1.5", "2", "3", "abc", "7"]}), range(2, 7), "a.csv")
    ["a.csv: price is text, because of 'abc' in row 5"]

    Args:
        table: Columns of text, (n, columns).
        numbers: (n,), the number of each row as messages have it.
        where: The file.

    Returns:
        One line per column of which at least :data:`MOSTLY` of the values are of one such type.
    """
    remarks = []
    for name in table:
        texts = table[name].astype("str").fillna("").str.strip()
        known = texts[~texts.str.lower().isin(("", *NO_VALUE))]
        at = _odd_one(known)
        if at is not None:
            row = numbers[texts.index.get_loc(known.index[at])]
            shown = printable(known.iloc[at])
            remarks.append(f"{where}: {name} is text, because of {shown!r} in row {row}")
    return remarks


def _odd_one(words: pd.Series) -> int | None:
    """Return the place of the first value that keeps a column from being numbers or dates."""
    for form, read in ((NUMBER, _numbers), (DATE, _dates)):
        is_typed = words.str.fullmatch(form) & words.str.contains(r"\d")
        if words.empty or is_typed.mean() < MOSTLY:
            continue
        if is_typed.all():  # of one form, and yet not all are numbers or dates: 2024-13-45
            is_typed = pd.Series([read(pd.Series([word])) is not None for word in words])
        return None if is_typed.all() else int(np.argmin(is_typed))
    return None


def with_decimal_points(table: pd.DataFrame, delimiter: str) -> pd.DataFrame:
    """Write the numbers of a text with decimal commas, such as 12,99, as 12.99.

    A column is changed if all its values are such numbers, and one cannot be read in another way:
    of 1,299 alone it is not known whether it is more than a thousand.

    >>> table = pd.DataFrame({"price": ["12,99", "1.299,00", "5"], "code": ["1,299", "2,500", ""]})
    >>> with_decimal_points(table, ";")["price"].tolist()
    ['12.99', '1299.00', '5']
    >>> with_decimal_points(table, ";")["code"].tolist()
    ['1,299', '2,500', '']

    Args:
        table: Columns of text.
        delimiter: What separates the fields of the file. Where it is a comma, nothing is changed.

    Returns:
        The table.
    """
    if delimiter == ",":
        return table
    return table.assign(**{str(name): _with_points(table[name]) for name in table})


def _with_points(texts: pd.Series) -> pd.Series:
    words = texts.dropna().drop_duplicates().astype("str")
    words = words[~words.str.strip().str.lower().isin(("", *NO_VALUE))].str.strip()
    is_number = len(words) > 0 and words.str.fullmatch(COMMA_NUMBER).all()
    if not is_number or not words.str.contains(PLAINLY_DECIMAL).any():
        return texts
    points = words.str.replace(".", "", regex=False).str.replace(",", ".", regex=False)
    changed = dict(zip(words, points, strict=True))
    return texts.map(lambda text: changed.get(str(text).strip(), text))


def _flags(words: pd.Series) -> pd.Series | None:
    lower = words.str.lower()
    return lower.map(FLAGS).astype(bool) if lower.isin(list(FLAGS)).all() else None


def _whole(words: pd.Series) -> pd.Series | None:
    return words.astype(np.int64) if words.str.fullmatch(WHOLE).all() else None


def _numbers(words: pd.Series) -> pd.Series | None:
    if not words.str.fullmatch(NUMBER).all() or not words.str.contains(r"\d").all():
        return None
    if words.str.fullmatch(rf"-?\d{{{EXACT_DIGITS + 1},}}").any():
        return None
    found = words.astype(np.float64)
    return found if np.isfinite(found).all() else None


def _dates(words: pd.Series) -> pd.Series | None:
    # ISO dates only: whether 01/02/2020 is in January or February nobody can tell.
    if not words.str.fullmatch(DATE).all():
        return None
    zoned = words.str.contains(r"(?:Z|[+-]\d{2}:?\d{2})$") & (words.str.len() > 10)
    if zoned.any() and not zoned.all():
        return None
    found = pd.to_datetime(words, errors="coerce", format="ISO8601", utc=bool(zoned.any()))
    return found.dt.as_unit(UNIT) if found.notna().all() else None


def _with_missing(column: pd.Series) -> pd.Series:
    """Return a column in a type that can miss values, whole numbers and flags as they are."""
    if pd.api.types.is_bool_dtype(column.dtype):
        return column.astype("boolean")
    return column.astype("Int64") if pd.api.types.is_integer_dtype(column.dtype) else column


def typed_table(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return the metadata columns of a table that has types, such as one of Parquet.

    Args:
        table: Columns of single values; values that are lists or mappings become JSON text.

    Returns:
        The columns; and the names of those that are no metadata: bytes, and long lists of numbers,
        which are embeddings.
    """
    kept: dict[str, pd.Series] = {}
    refused: list[str] = []
    for name, column in table.items():
        found = _plain_column(column)
        if found is None:
            refused.append(str(name))
        else:
            kept[str(name)] = found.reset_index(drop=True)
    return pd.DataFrame(kept, index=pd.RangeIndex(len(table))), refused


def _plain_column(column: pd.Series) -> pd.Series | None:
    """Return a column as the run stores it; None if it is no metadata."""
    kind = column.dtype
    if isinstance(kind, pd.CategoricalDtype) or pd.api.types.is_bool_dtype(kind):
        return column
    if pd.api.types.is_datetime64_any_dtype(kind) or pd.api.types.is_numeric_dtype(kind):
        return column
    if pd.api.types.is_timedelta64_dtype(kind):
        return column
    known = column.dropna()
    kinds = set(map(type, known))
    if kinds & {bytes, bytearray, memoryview} or any(map(_is_vector, known)):
        return None
    if kinds and kinds <= {bool, np.bool_}:
        return column.astype("boolean")
    if (kinds and kinds <= {datetime.date}) or kinds <= {
        datetime.date,
        datetime.datetime,
        pd.Timestamp,
    }:
        with_dates = pd.to_datetime(column, errors="coerce")
        if kinds and with_dates.notna().sum() == len(known):
            return with_dates.dt.as_unit(UNIT)
    if kinds and kinds <= {int, np.int64}:
        whole = pd.Series(column.tolist(), dtype=object)
        if all(-(2**63) <= value < 2**63 for value in known):
            return whole.where(whole.notna(), pd.NA).astype("Int64")
    if kinds and kinds <= {int, float, np.float64, np.int64}:
        return pd.to_numeric(column, errors="coerce").astype(np.float64)
    return column.map(lambda v: None if _is_missing(v) else _as_json_or_text(v)).astype("str")


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value)) or value is pd.NA


def _is_vector(value: object) -> bool:
    if not isinstance(value, list | tuple | np.ndarray) or len(value) <= LONGEST_VECTOR:
        return False
    return all(isinstance(v, int | float | np.number) and not isinstance(v, bool) for v in value)


def _as_json_or_text(value: object) -> str:
    if not isinstance(value, list | tuple | dict | set | np.ndarray):
        return str(value)
    if isinstance(value, np.ndarray | tuple | set):
        value = list(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def join_tables(tables: Sequence[tuple[pd.DataFrame, bool]]) -> pd.DataFrame:
    """Put the metadata of several lists below each other.

    Args:
        tables: The metadata of each list, and whether it is all text, whose types are told by the
            values of all such lists together.

    Returns:
        The rows in their order. A column that some lists lack misses their values; one of several
        types is text.
    """
    if all(is_text for _, is_text in tables):
        whole = pd.concat([table for table, _ in tables], ignore_index=True)
        return typed_texts(whole)
    parts = [typed_texts(table) if is_text else table for table, is_text in tables]
    names = list(dict.fromkeys(name for part in parts for name in part))
    columns = {}
    for name in names:
        own = [part[name] for part in parts if name in part]
        if len({str(column.dtype) for column in own}) > 1 and not all(
            pd.api.types.is_numeric_dtype(column.dtype) for column in own
        ):
            own = [column.map(_as_text).astype("str") for column in own]
        if len(own) < len(parts):
            own = [_with_missing(column) for column in own]
        given = iter(own)
        pieces = [next(given) if name in part else pd.Series([None] * len(part)) for part in parts]
        kind = own[0].dtype if len({str(column.dtype) for column in own}) == 1 else None
        joined = pd.concat(pieces, ignore_index=True)
        columns[name] = joined if kind is None else joined.astype(kind)
    return pd.DataFrame(columns)


def _as_text(value: object) -> str | None:
    return None if pd.isna(value) else str(value)


def take_rows(table: pd.DataFrame, rows: np.ndarray) -> pd.DataFrame:
    """Return rows of a table of metadata; a row of -1 has no values.

    Args:
        table: (n, columns).
        rows: int, (m,), from -1 to n - 1.
    """
    if (rows < 0).any():
        table = pd.DataFrame({name: _with_missing(table[name]) for name in table}, table.index)
    return table.reindex(rows).reset_index(drop=True)


def typed_texts(table: pd.DataFrame) -> pd.DataFrame:
    """Give every column of a table of text the type of its values, see :func:`typed_column`."""
    return pd.DataFrame(
        {name: typed_column(table[name]) for name in table}, index=pd.RangeIndex(len(table))
    )


def stored_names(
    names: Iterable[str], where: object, reserved: Sequence[str] = CONTRACT_COLUMNS
) -> dict[str, str]:
    """Return the name under which each metadata column is stored with the items.

    A name that the run uses itself, such as ``item`` or ``role``, gets ``meta_`` before it.

    >>> stored_names(["price", "item"], "list.csv")
    {'price': 'price', 'item': 'meta_item'}

    Args:
        names: Names of the columns as the user wrote them.
        where: The file, for the message.
        reserved: Names that get the prefix. Defaults to those of a run's items.

    Raises:
        UserError: Two columns would be stored under one name; names both.
    """
    found: dict[str, str] = {}
    for name in names:
        stored = f"{PREFIX}{name}" if name in reserved else name
        if stored in found.values():
            earlier = next(key for key, value in found.items() if value == stored)
            what = "two columns are" if earlier == name else f"columns {earlier!r} and {name!r} are"
            raise UserError(f"{where}: {what} called {printable(stored)!r}; rename one")
        found[name] = stored
    return found


def clash_remarks(names: dict[str, str], where: object) -> list[str]:
    """Say which columns are stored under another name than the user's.

    Args:
        names: Name -> stored name, see :func:`stored_names`.
        where: The file.

    Returns:
        At most one line.
    """
    changed = [f"{name!r} as {stored!r}" for name, stored in names.items() if name != stored]
    if not changed:
        return []
    return [f"{where}: the run uses these names itself, so they are kept {', '.join(changed)}"]


def refused_remarks(names: Sequence[str], where: object) -> list[str]:
    """Say which columns are no metadata, see :func:`typed_table`.

    Args:
        names: The columns as the user wrote them.
        where: The file.

    Returns:
        At most one line.
    """
    if not names:
        return []
    shown = printable(", ".join(names[:SHOWN])) + (", ..." if len(names) > SHOWN else "")
    return [
        f"{where}: columns of bytes or long lists of numbers, which are no metadata, are left out: "
        f"{shown}"
    ]
