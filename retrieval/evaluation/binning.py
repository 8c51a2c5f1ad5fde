"""Cut the values of a column into a few groups: categories, quantile bins, years.

Numbers and dates of many values are cut at quantiles, so that every group holds about as many
classes (if all queries of a class share their value) or else as many queries. Texts of few values
are categories. A value that is missing makes a group of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retrieval.errors import UserError
from retrieval.evaluation.statistics import effective_classes
from retrieval.validation import check_integer

DEFAULT_BINS, MOST_BINS = 4, 20
CLASSES_PER_BIN = 12  # effective ones, a few more than a claim needs, since bins are not all equal
MOST_GROUPS = 40  # categories; more of them would hold too few classes each for any claim
FEW_NUMBERS = 12  # whole numbers of so few values are names: cameras, stores, ratings
MOST_YEARS = 12
MISSING = "(none)"


@dataclass(frozen=True)
class Groups:
    """A column whose values were cut into groups.

    Attributes:
        column: Name of the column.
        names: Name of each group, all different, in the order of the values.
        codes: int64, (q,), group of each query.
        how: How the values were cut, in words, such as ``quarters of the classes``.
        binned: Whether values were cut at quantiles, so that the number of groups can be chosen.
    """

    column: str
    names: tuple[str, ...]
    codes: NDArray[np.int64]
    how: str
    binned: bool = False


def group_values(
    column: str,
    values: Sequence[Any] | np.ndarray | pd.Series,
    classes: np.ndarray,
    bins: int | None = None,
) -> Groups:
    """Cut the values of a column into groups.

    Up to 40 texts, 12 whole numbers or 12 years are groups of their own; other numbers and dates
    are cut at quantiles.

    >>> group_values("store", ["A", "B", "A"], np.array([0, 1, 2])).names
    ('A', 'B')
    >>> group_values("width", range(100), np.arange(100)).names
    ('0 to 24', '25 to 49', '50 to 74', '75 to 99')

    Args:
        column: Name of the column, for messages.
        values: (q,), value of each query: numbers, dates, texts, flags or categories. Texts that
            are all numbers or all ISO dates count as these.
        classes: (q,), class of each query.
        bins: Number of quantile bins, 2 to 20. Defaults to 4, and to fewer, but at least 2, where
            classes are cut and each bin would hold too few for a claim.

    Returns:
        At least two groups.

    Raises:
        UserError: All values are the same, they are no single values, texts have too many
            different values, or the number of bins is invalid.
    """
    if bins is not None:
        bins = check_integer("bins", bins, least=2, most=MOST_BINS)
    series = _typed(column, pd.Series(values).reset_index(drop=True))
    missing = series.isna().to_numpy()
    known = series[~missing]
    distinct = known.nunique()
    if distinct + missing.any() < 2:
        raise UserError(f"column {column!r} has one value only, so there is nothing to compare")
    if distinct <= _most_categories(known, bins):
        codes, names, how = _categories(known)
    elif _is_category(known):
        raise UserError(
            f"column {column!r} has {distinct:,} different values, and slices take at most "
            f"{MOST_GROUPS}: give a column of fewer, or of numbers or dates"
        )
    elif _is_date(known) and 2 <= known.dt.year.nunique() <= MOST_YEARS:
        codes, names, how = _categories(known.dt.year)
        how = "years"
    else:
        codes, names, how = _quantiles(known, np.asarray(classes)[~missing], bins)
    every = np.full(len(series), len(names), dtype=np.int64)
    every[~missing] = codes
    if missing.any():
        names = (*names, MISSING)
    binned = how.startswith("quantile")
    return Groups(column, _told_apart(names), every, how, binned)


def _most_categories(known: pd.Series, bins: int | None) -> int:
    """Return up to how many different values each value is a group of its own."""
    if _is_category(known):
        return MOST_GROUPS
    whole = not _is_date(known) and bool((known == known.round()).all())
    return max(bins or DEFAULT_BINS, FEW_NUMBERS if whole else 0)


def _typed(column: str, series: pd.Series) -> pd.Series:
    """Return values as numbers or dates where they all are, else as texts; missing as missing."""
    if isinstance(series.dtype, pd.CategoricalDtype):
        ordered = [str(c) for c in series.cat.categories]
        if len(set(ordered)) < len(ordered):
            return series.astype(object).astype(str).where(series.notna())
        return series.cat.rename_categories(ordered)
    if pd.api.types.is_bool_dtype(series) or _is_date(series):
        return series
    if pd.api.types.is_numeric_dtype(series):
        return series.replace([np.inf, -np.inf], np.nan)
    known = series.dropna()
    if known.map(lambda value: isinstance(value, list | tuple | dict | set | np.ndarray)).any():
        raise UserError(f"column {column!r} holds lists: slices take a single value per item")
    texts = known.astype(str).str.strip()
    texts = texts[texts != ""]
    for read in (_numbers, _dates):
        found = read(texts)
        if found is not None:
            return found.reindex(series.index)
    return texts.reindex(series.index).astype(object)


def _numbers(texts: pd.Series) -> pd.Series | None:
    if texts.str.match(r"0\d").any():  # a code such as 007
        return None
    found = pd.to_numeric(texts, errors="coerce")
    return found if len(found) and np.isfinite(found.to_numpy(float)).all() else None


def _dates(texts: pd.Series) -> pd.Series | None:
    # ISO dates only: whether 01/02/2020 is in January or February nobody can tell.
    if not len(texts) or not texts.str.match(r"\d{4}-\d{2}(-\d{2})?([T ].*)?$").all():
        return None
    found = pd.to_datetime(texts, errors="coerce", format="ISO8601", utc=True)
    return found if found.notna().all() else None


def _is_date(series: pd.Series) -> bool:
    return bool(pd.api.types.is_datetime64_any_dtype(series))


def _is_category(series: pd.Series) -> bool:
    return not _is_date(series) and (
        pd.api.types.is_bool_dtype(series) or not pd.api.types.is_numeric_dtype(series)
    )


def _categories(known: pd.Series) -> tuple[np.ndarray, tuple[str, ...], str]:
    if isinstance(known.dtype, pd.CategoricalDtype):
        known = known.cat.remove_unused_categories()
        return known.cat.codes.to_numpy(), tuple(known.cat.categories), "categories"
    codes, values = pd.factorize(known, sort=True)
    return codes, tuple(_text(value) for value in values), "categories"


def _quantiles(
    known: pd.Series, classes: np.ndarray, bins: int | None
) -> tuple[np.ndarray, tuple[str, ...], str]:
    """Cut numbers or dates where about equal shares of the classes, or of the queries, lie."""
    values = known.to_numpy()
    if _is_date(known):
        values = known.dt.tz_localize(None).to_numpy()
    per_class = pd.Series(values).groupby(classes)
    of_classes = bool((per_class.nunique() <= 1).all())
    if bins is None:
        enough = int(effective_classes(per_class.size()) // CLASSES_PER_BIN)
        bins = min(DEFAULT_BINS, max(2, enough)) if of_classes else DEFAULT_BINS
    sample = np.sort(per_class.first().to_numpy() if of_classes else values)
    # The value at each cut, of the sample itself, begins the bin above; ties stay together.
    places = [len(sample) * i // bins for i in range(1, bins)]
    starts = np.unique(sample[places])
    starts = starts[starts > sample[0]]
    if not len(starts):  # most are the least value: it stands alone
        starts = sample[sample > sample[0]][:1]
    codes = np.searchsorted(starts, values, side="right")
    texts = _texts(np.unique(values))
    at = np.searchsorted(np.unique(values), values)
    names = []
    for code in range(len(starts) + 1):
        inside = at[codes == code]
        ends = texts[inside.min()], texts[inside.max()]
        names.append(ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}")
    unit = "classes" if of_classes else "queries"
    return codes, tuple(names), f"quantile bins of the {unit}"


def _texts(values: np.ndarray) -> list[str]:
    """Write sorted values with as few digits as tell them apart, and at least three."""
    if values.dtype.kind == "M":
        days = [str(value)[:10] for value in values.astype("datetime64[s]")]
        if len(set(days)) > len(days) // 2:
            return days
        return [str(value).replace("T", " ") for value in values.astype("datetime64[s]")]
    if (values == np.round(values)).all() and np.abs(values).max() < 1e15:
        return [str(int(value)) for value in values]
    for digits in range(3, 9):
        texts = [f"{value:.{digits}g}" for value in values]
        if len(set(texts)) > len(texts) // 2 or digits == 8:
            break
    return texts


def _text(value: object) -> str:
    if isinstance(value, pd.Timestamp):
        return str(value.date()) if value == value.normalize() else str(value)
    if isinstance(value, float | np.floating):
        return f"{value:.4g}"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    return str(value)


def _told_apart(names: Sequence[str]) -> tuple[str, ...]:
    """Number names that are the same when written."""
    seen: dict[str, int] = {}
    found = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return tuple(found)
