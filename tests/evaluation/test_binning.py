"""Columns are cut into a few groups: categories, quantile bins, years; what is missing is one."""

import datetime

import numpy as np
import pandas as pd
import pytest

from retrieval.errors import UserError
from retrieval.evaluation.binning import MISSING, group_values

QUERIES = 120
EACH_ITS_OWN = np.arange(QUERIES)


def cut(values, classes=EACH_ITS_OWN, bins=None):
    return group_values("column", values, classes, bins)


def members(groups):
    return {name: (groups.codes == i).sum() for i, name in enumerate(groups.names)}


def repeated(values):
    return [values[i % len(values)] for i in range(QUERIES)]


def test_texts_are_categories_in_order():
    assert members(cut(repeated(["b", "a", "b"]))) == {"a": 40, "b": 80}


@pytest.mark.parametrize("missing", [None, np.nan, "", "  "])
def test_what_is_missing_is_a_group_of_its_own(missing):
    assert members(cut(repeated(["a", missing, "b"]))) == {"a": 40, "b": 40, MISSING: 40}


def test_a_missing_value_and_one_other_make_two_groups():
    assert members(cut(repeated(["a", None]))) == {"a": 60, MISSING: 60}


def test_numbers_are_cut_at_quantiles():
    groups = cut(np.arange(QUERIES) / 10)
    assert members(groups) == {
        "0 to 2.9": 30, "3 to 5.9": 30, "6 to 8.9": 30, "9 to 11.9": 30
    }  # fmt: skip
    assert groups.binned


def test_ties_stay_together():
    values = np.concatenate([np.zeros(100), np.linspace(1, 2, 20)])
    assert members(cut(values)) == {"0": 100, "1 to 2": 20}


def test_a_value_of_the_class_is_cut_by_classes_and_not_by_queries():
    """One class of 60 queries and 20 of 3: a bin by queries would hold one class only."""
    classes = np.concatenate([np.zeros(60, int), np.repeat(np.arange(1, 21), 3)])
    size = np.where(classes == 0, 60, classes)
    groups = cut(size, classes, bins=2)
    each = [len(np.unique(classes[groups.codes == code])) for code in (0, 1)]
    assert each == [10, 11]
    assert "classes" in groups.how


def test_there_are_fewer_bins_where_classes_are_few():
    classes = np.repeat(np.arange(30), 4)
    assert len(cut(classes * 7.5, classes).names) == 2
    assert len(cut(classes * 7.5, classes, bins=5).names) == 5


def test_whole_numbers_of_few_values_are_categories():
    assert cut(repeated([3, 1, 10])).names == ("1", "3", "10")
    assert not cut(repeated(list(range(12)))).binned
    assert cut(repeated(list(range(13)))).binned


def test_texts_that_are_numbers_count_as_numbers_but_codes_do_not():
    assert cut([str(i) for i in range(QUERIES)]).binned
    assert cut(repeated(["007", "012", "100"])).names == ("007", "012", "100")


def test_flags_are_yes_and_no():
    assert members(cut(np.arange(QUERIES) < 50)) == {"no": 70, "yes": 50}
    assert members(cut(repeated([True, None, False]))) == {"False": 40, "True": 40, MISSING: 40}


def test_dates_are_cut_by_years_or_at_quantiles():
    days = pd.date_range("2019-03-01", periods=QUERIES, freq="10D")
    assert cut(days).names == ("2019", "2020", "2021", "2022")
    assert cut([str(day.date()) for day in days]).names == cut(days).names
    assert cut(days.tz_localize("Asia/Tokyo")).names == cut(days).names
    within = cut([datetime.date(2020, 1, 1) + datetime.timedelta(i) for i in range(QUERIES)])
    assert within.names[0] == "2020-01-01 to 2020-01-30"
    assert within.binned


def test_ordered_categories_keep_their_order():
    sizes = pd.Categorical(repeated(["S", "L", "M"]), categories=["S", "M", "L", "XL"])
    assert cut(sizes).names == ("S", "M", "L")


@pytest.mark.parametrize(
    "values",
    [
        repeated(["same"]),
        repeated([None]),
        repeated([float("inf"), None]),
        [f"text {i}" for i in range(QUERIES)],
        [[1, 2]] * QUERIES,
    ],
)
def test_what_makes_no_slices_is_refused_by_name(values):
    with pytest.raises(UserError, match="'column'"):
        cut(values)


@pytest.mark.parametrize("bins", [1, 21, 2.5, "4x"])
def test_the_number_of_bins_is_checked(bins):
    with pytest.raises(UserError, match="bins"):
        cut(np.arange(QUERIES), bins=bins)
