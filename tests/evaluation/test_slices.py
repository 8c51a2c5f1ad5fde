"""Figures of slices: right values, one story per interval and verdict, no noise sold as finding."""

import numpy as np
import pytest

from benchmarks.slices import Case, draw_world, simulate
from retrieval.errors import UserError
from retrieval.evaluation.binning import Groups
from retrieval.evaluation.bootstrap import ClassScores, level_intervals
from retrieval.evaluation.significance import compare
from retrieval.evaluation.slices import slice_scores, too_few_note


def groups_of(codes, names=None):
    codes = np.asarray(codes)
    names = names or tuple(f"slice {code}" for code in range(codes.max() + 1))
    return Groups("column", tuple(names), codes.astype(np.int64), "categories")


def world(seed=0, **case):
    return draw_world(np.random.default_rng(seed), Case(**case))


def test_figures_differences_and_gaps_are_plain_means():
    scores, labels, groups = world(nested=False)
    table = slice_scores(scores, labels, groups).table
    for code, row in enumerate(table.to_dict("records")):
        a, b = (value[0][groups.codes == code] for value in scores.values())
        rest = (scores["a"] - scores["b"])[0][groups.codes != code]
        assert row["queries"] == len(a)
        assert row["classes"] == len(np.unique(labels[groups.codes == code]))
        assert row["a"] == pytest.approx(a.mean())
        assert row["b"] == pytest.approx(b.mean())
        assert row["difference"] == pytest.approx(a.mean() - b.mean())
        assert row["gap"] == pytest.approx(a.mean() - b.mean() - rest.mean())


def test_the_interval_of_a_figure_is_that_of_these_queries_alone():
    scores, labels, groups = world()
    table = slice_scores({"a": scores["a"]}, labels, groups).table
    inside = groups.codes == 1
    low, high = level_intervals(ClassScores.of([scores["a"][:, inside]], labels[inside]))
    assert (table["a_low"][1], table["a_high"][1]) == pytest.approx((low[0], high[0]))


def test_one_slice_with_a_verdict_is_judged_as_by_the_comparison_of_two_runs():
    """The other slice has too few classes, so the family is that one comparison."""
    scores, labels, _ = world(classes=50)
    few = labels < 5
    table = slice_scores(scores, labels, groups_of(few)).table
    compared = compare({name: value[:, ~few] for name, value in scores.items()}, labels[~few]).pair(
        "a", "b"
    )
    assert table["difference"][0] == pytest.approx(compared["difference"])
    # Other draws of the resamples.
    assert table["difference_low"][0] == pytest.approx(compared["low"], abs=0.01)
    assert table["difference_high"][0] == pytest.approx(compared["high"], abs=0.01)


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("base", [0.5, 0.97])
def test_an_interval_and_its_verdict_and_p_value_never_disagree(nested, base):
    for seed in range(6):
        scores, labels, groups = world(seed, classes=80, nested=nested, base=base, apart=1.2)
        for given in (scores, {"a": scores["a"]}):
            table = slice_scores(given, labels, groups, n_samples=500).table
            for name in ("difference", "gap")[2 - len(given) :]:
                table = table[table[f"{name}_low"].notna()]
                low, high = table[f"{name}_low"], table[f"{name}_high"]
                excludes_0 = (low > 0) | (high < 0)
                assert (excludes_0 == table[f"{name}_significant"]).all()
                known = table[f"{name}_p"].notna()
                assert (excludes_0[known] == (table[f"{name}_p"][known] < 0.05)).all()
                assert ((low <= table[name] + 1e-12) & (table[name] <= high + 1e-12)).all()


def test_a_slice_of_too_few_classes_gets_no_claim_and_widens_no_other():
    scores, labels, _ = world(classes=60)
    alone = slice_scores(scores, labels, groups_of(labels < 6)).table
    few = np.where(labels < 6, 1 + labels % 3, 0)
    split = slice_scores(scores, labels, groups_of(few)).table
    assert split["difference_low"][1:].isna().all()
    assert split["gap_low"][1:].isna().all()
    assert not split["difference_significant"][1:].any()
    assert split["difference_high"][0] == pytest.approx(alone["difference_high"][0], abs=0.01)
    assert "3 of 4" in too_few_note(split)


def test_more_slices_make_wider_intervals():
    scores, labels, _ = world(classes=200)
    two = slice_scores(scores, labels, groups_of(labels >= 20)).table
    ten = slice_scores(scores, labels, groups_of(labels // 20)).table
    width = [table["difference_high"][0] - table["difference_low"][0] for table in (two, ten)]
    assert width[1] > 1.1 * width[0]


def test_a_lead_in_every_slice_is_no_gap():
    """Run A is ahead in all slices alike: every difference is real, and no slice stands out."""
    scores, labels, groups = world(classes=200, ahead=1.0)
    table = slice_scores(scores, labels, groups).table
    assert table["difference_significant"].all()
    assert not table["gap_significant"].any()


def test_a_slice_in_which_the_runs_differ_more_is_found():
    scores, labels, groups = world(classes=200, apart=1.5)
    sliced = slice_scores(scores, labels, groups)
    assert sliced.by_difference()["slice"][0] == "0"
    assert sliced.table["gap_significant"][0]
    assert sliced.table["gap"][0] > 0


def test_runs_that_tie_everywhere_differ_nowhere():
    scores, labels, groups = world()
    table = slice_scores({"a": scores["a"], "b": scores["a"]}, labels, groups).table
    table = table[table["difference_low"].notna()]
    assert len(table) > 1
    assert (table[["difference", "difference_low", "difference_high"]] == 0).all(axis=None)
    assert not table[["difference_significant", "gap_significant"]].any(axis=None)


def test_twelve_classes_without_an_error_do_not_prove_that_there_are_none():
    labels = np.repeat(np.arange(60), 5)
    rng = np.random.default_rng(0)
    right = (rng.random(len(labels)) < 0.9) | (labels < 12)
    table = slice_scores({"a": right.astype(float)}, labels, groups_of(labels >= 12)).table
    assert table["a"][0] == 1
    assert table["gap"][0] > 0.05
    assert not table["gap_significant"][0]


def test_queries_that_do_not_count_are_in_no_slice():
    scores, labels, groups = world()
    gone = groups.codes == 2
    scores = {name: np.where(gone, np.nan, value) for name, value in scores.items()}
    table = slice_scores(scores, labels, groups).table
    assert table["slice"].tolist() == ["0", "1", "3"]
    with pytest.raises(UserError, match="no query counts"):
        slice_scores({"a": np.full(len(labels), np.nan)}, labels, groups)


@pytest.mark.parametrize("number", [0, 3])
def test_slices_are_of_one_run_or_two(number):
    scores, labels, groups = world()
    given = {str(i): scores["a"] for i in range(number)}
    with pytest.raises(UserError, match="one run or of two"):
        slice_scores(given, labels, groups)


def test_the_order_of_queries_does_not_matter():
    scores, labels, groups = world(seeds=3)
    shuffled = np.random.default_rng(1).permutation(len(labels))
    one = slice_scores(scores, labels, groups).table
    other = slice_scores(
        {name: value[:, shuffled] for name, value in scores.items()},
        labels[shuffled],
        groups_of(groups.codes[shuffled], groups.names),
    ).table
    for column in one.columns[1:]:
        assert one[column].to_numpy(float) == pytest.approx(
            other[column].to_numpy(float), nan_ok=True
        )


@pytest.mark.parametrize("nested", [True, False])
def test_of_equal_runs_few_worlds_call_a_slice_different(nested):
    """Nominal: 5% of worlds; 7 or more of 40 would come about once in 300 such tests."""
    counts = simulate(Case(classes=60, slices=3, nested=nested), 40, n_samples=300)
    assert counts.worlds == 40
    assert counts.differences_wrong < 7
    assert counts.gaps_wrong < 7
    assert counts.own_gaps_wrong < 7
    assert counts.level > 0.85 * counts.slices
