"""Error rates of thresholds over all pairs: hand-worked, by plain loops, and by scikit-learn."""

from unittest import mock

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from retrieval.errors import UserError
from retrieval.evaluation import thresholds as module
from retrieval.evaluation.protocol import sides
from retrieval.evaluation.search.plan import BlockSizes
from retrieval.evaluation.thresholds import EER, Thresholds, open_set, thresholds
from tests.evaluation.oracle import similarity, unit_rows

DISTANCES = ("cosine", "euclidean", "squared_euclidean", "cityblock")


def all_pairs(x, labels, roles, distance):
    """Every pair of a query and a gallery item: similarities as reported, and same class or not."""
    rows = unit_rows(x) if distance == "cosine" else x.astype(np.float32)
    inner = "squared_euclidean" if distance == "euclidean" else distance
    values, same = [], []
    for q in range(len(x)):
        for g in range(len(x)):
            if roles is None:
                counts = g > q  # every pair once
            else:
                counts = g != q and roles[q] != "gallery" and roles[g] != "query"
            if counts:
                values.append(similarity(rows[q], rows[g], inner))
                same.append(labels[q] == labels[g])
    values = np.array(values)
    return (-np.sqrt(-values) if distance == "euclidean" else values), np.array(same)


def drawn(seed=0, n_classes=12, each=5, dimension=6):
    """Embeddings with duplicates, and so with ties, and labels."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(n_classes), each)
    x = rng.standard_normal((n_classes, dimension))[labels]
    x = x + 0.8 * rng.standard_normal((len(labels), dimension))
    x[3], x[each + 1] = x[0], x[0]
    return x.astype(np.float32), labels


def some_roles(n):
    return np.array(["query", "gallery", "both"])[np.arange(n) % 3]


def least_fnmr(values, same, level):
    fpr, tpr, _ = roc_curve(same, values, drop_intermediate=False)
    return 1 - tpr[fpr <= level + 1e-12].max()


def equal_error_rate(values, same):
    fpr, tpr, _ = roc_curve(same, values, drop_intermediate=False)
    apart = fpr - (1 - tpr)
    at = int(np.argmax(apart >= 0))
    before = at - 1
    part = -apart[before] / (apart[at] - apart[before])
    return fpr[before] + part * (fpr[at] - fpr[before])


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("with_roles", [False, True])
def test_figures_are_those_of_scikit_learn(distance, with_roles):
    x, labels = drawn()
    roles = some_roles(len(x)) if with_roles else None
    values, same = all_pairs(x, labels, roles, distance)
    found = thresholds(x, labels, roles, distance, n_bootstrap=0)
    assert (found.n_positive, found.n_negative) == (same.sum(), (~same).sum())
    points = found.points.set_index("point")
    assert points.loc[EER, "fnmr"] == pytest.approx(equal_error_rate(values, same))
    for level in (0.1, 0.01):
        assert points.loc[level, "fnmr"] == pytest.approx(least_fnmr(values, same, level))
        assert points.loc[level, "fmr"] <= level
    assert points["exact"].all()


@pytest.mark.parametrize("distance", DISTANCES)
def test_every_threshold_of_the_curve_counts_exactly_the_pairs_of_a_plain_loop(distance):
    x, labels = drawn(1)
    values, same = all_pairs(x, labels, None, distance)
    curve = thresholds(x, labels, distance=distance, n_bootstrap=0).curve
    assert len(curve) > 20
    for row in curve.itertuples():
        accepted = values >= row.threshold
        assert row.false_matches == (accepted & ~same).sum()
        assert row.false_non_matches == (~accepted & same).sum()


@pytest.mark.parametrize("sizes", [BlockSizes(queries=7, tile=5), BlockSizes(queries=64, tile=16)])
def test_blocks_and_chunks_from_disk_change_no_figure(tmp_path, sizes):
    x, labels = drawn(2)
    whole = thresholds(x, labels).to_dict()
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    small = BlockSizes(sizes.queries, sizes.tile, chunk_bytes=1500)
    search = module.PairSearch
    with mock.patch.object(
        module, "PairSearch", lambda *given, **named: search(*given, sizes=small, **named)
    ):
        apart = thresholds(mapped, labels, threads=3).to_dict()
    for name, value in whole.items():
        if name != "examples":
            assert apart[name] == value, name


def test_where_too_many_pairs_tie_the_threshold_is_above_them_and_this_is_said():
    x, labels = drawn()
    exact = thresholds(x, labels, n_bootstrap=0).points
    with mock.patch.object(module, "LISTED", 0):
        rough = thresholds(x, labels, n_bootstrap=0).points
    assert not rough["exact"].any()
    assert (rough["fmr"][1:] <= exact["fmr"][1:]).all()
    assert (rough["threshold"] >= exact["threshold"] - 1e-4).all()


def test_a_case_worked_out_by_hand():
    # On a line: classes a at 0 and 3, b at 1 and 7. Same class: 3 and 6 apart. Two classes: 0-1 is
    # 1 apart, 0-7 is 7, 3-1 is 2, 3-7 is 4.
    x, labels = np.array([[0.0], [3], [1], [7]]), np.array(["a", "a", "b", "b"])
    found = thresholds(x, labels, distance="euclidean", levels=(0.5, 0.25))
    assert (found.n_positive, found.n_negative) == (2, 4)
    points = found.points.set_index("point")
    # At most two of four: up to 4 apart, but not 4 itself. It accepts 3 apart, one of two.
    assert points.loc[0.5, "fnmr"] == 0.5
    assert points.loc[0.5, "threshold"] == pytest.approx(-4, abs=1e-6)
    assert points.loc[0.25, "fnmr"] == 1.0  # up to 2 apart, not 2 itself: no pair of one class
    assert points.loc[EER, "fnmr"] == 0.5  # up to 3 apart: two of four, one of two
    assert points["low"].isna().all()  # two classes allow no interval


@pytest.mark.parametrize("option", ["exclude_same", "junk_same"])
@pytest.mark.parametrize("queries", [False, True])
def test_pairs_that_are_left_out_count_nowhere(option, queries):
    x, labels = drawn(n_classes=20)
    camera = np.arange(len(x)) % 3
    roles = some_roles(len(x)) if queries else None
    found = thresholds(x, labels, roles, levels=(0.1, 0.01), **{option: {"camera": camera}})
    values, same = all_pairs(x, labels, roles, "cosine")
    shared = all_pairs(x, camera, roles, "cosine")[1]
    junk = shared & (same if option == "junk_same" else True)
    kept, is_same = values[~junk], same[~junk]
    assert (found.n_positive, found.n_negative) == (is_same.sum(), (~is_same).sum())
    points = found.points.set_index("point")
    for level in (0.1, 0.01):
        assert points.loc[level, "fnmr"] == pytest.approx(least_fnmr(kept, is_same, level))
    rows = found.examples
    assert not (
        (camera[rows["query"]] == camera[rows["item"]]) & (rows["same"] | (option != "junk_same"))
    ).any()


def test_a_query_whose_positives_are_all_left_out_is_one_without():
    x, labels = drawn(n_classes=12)
    roles = np.where(np.arange(len(x)) % 5 < 2, "query", "gallery")
    camera = np.where(labels < 4, 0, np.arange(len(x)))  # of four classes, one camera saw all
    found = thresholds(x, labels, roles, junk_same={"camera": camera})
    assert (found.n_mated, found.n_unmated) == (16, 8)


def test_classes_that_lie_apart_have_no_error():
    x = np.repeat(np.eye(12), 3, axis=0) + 0.01 * np.arange(36)[:, None] * np.eye(12)[0]
    found = thresholds(x, np.repeat(np.arange(12), 3), levels=(0.1,))
    assert found.points["fnmr"].tolist() == [0.0, 0.0]
    assert found.points["high"].iloc[0] < 0.3


def test_a_query_is_not_paired_with_itself():
    x, labels = np.eye(3)[[0, 0, 1]], np.array([0, 0, 1])
    found = thresholds(x, labels, np.array(["both", "both", "both"]), levels=(0.5,))
    assert (found.n_positive, found.n_negative) == (2, 4)  # 0-1 and 1-0; each with 2, both ways


def test_levels_below_one_pair_are_left_out_and_rates_of_few_errors_have_no_interval():
    x, labels = drawn(n_classes=20)
    found = thresholds(x, labels)
    n = found.n_negative
    assert found.points["point"].tolist() == [EER, 0.1, 0.01, 0.001]
    assert 1e-4 * n < 1
    assert found.points["low"].isna().tolist() == [False, False, False, True]
    assert found.finest >= 30 / n


def test_the_interval_holds_the_rate_and_grows_with_fewer_classes():
    many, few = (thresholds(*drawn(n_classes=n)).points.set_index("point") for n in (80, 20))
    for points in (many, few):
        row = points.loc[0.1]
        assert row["low"] <= row["fnmr"] <= row["high"]
    assert (few["high"] - few["low"])[0.1] > (many["high"] - many["low"])[0.1]


def test_the_interval_counts_classes_not_pairs():
    x, labels = drawn(n_classes=20)
    once = thresholds(x, labels).points.set_index("point").loc[0.1]
    # Four images of every image are sixteen times the pairs, and not one class more.
    rng = np.random.default_rng(0)
    copies = np.repeat(x, 4, axis=0) + 1e-3 * rng.standard_normal((4 * len(x), x.shape[1]))
    more = thresholds(copies, np.repeat(labels, 4)).points.set_index("point").loc[0.1]
    assert more["high"] - more["low"] > 0.5 * (once["high"] - once["low"])


def test_calibration_is_fitted_and_tested_on_different_classes():
    x, labels = drawn(n_classes=60)
    found = thresholds(x, labels)
    knots = found.calibration
    assert knots["probability"].between(0, 1).all()
    assert (np.diff(knots["probability"]) >= 0).all()
    table = found.reliability
    assert 0 < table["pairs"].sum() < (found.n_positive + found.n_negative) / 3  # half of half
    large = table[table["pairs"] > 300]
    assert np.abs(large["predicted"] - large["observed"]).max() < 0.15
    assert found.brier < found.brier_of_share
    least, most = found.probability(np.array([-1.0, 1.0]))
    assert (least, most) == (knots["probability"].min(), knots["probability"].max())


def test_a_threshold_is_chosen_on_one_half_and_tested_on_the_other():
    x, labels = drawn(n_classes=40)
    found = thresholds(x, labels)
    half = module.halves(labels, sides(len(labels), None), 40, 0)
    assert half.sum() == 20
    values, same = all_pairs(x[half[labels] == 1], labels[half[labels] == 1], None, "cosine")
    for row in found.transfer.itertuples():
        accepted = values >= row.threshold
        assert row.fmr == pytest.approx((accepted & ~same).sum() / (~same).sum())
        assert row.fnmr == pytest.approx((~accepted & same).sum() / same.sum())


def test_open_set_by_hand():
    best = np.array([0.9, 0.8, 0.3, 0.7, 0.4])
    mated = np.array([True, True, True, False, False])
    found = open_set(best, mated, np.array([0, 0, 1, 2, 3]), levels=(0.5, 0.1)).iloc[0]
    # One of two strangers may be let in: above 0.4. Of three others, 0.3 is rejected.
    assert (found["fpir"], found["fnir"]) == (0.5, pytest.approx(1 / 3))
    assert 0.4 < found["threshold"] < 0.4001


def test_open_set_queries_are_those_whose_class_is_not_in_the_gallery():
    x, labels = drawn(n_classes=30)
    roles = np.where(np.arange(len(x)) % 5 < 2, "query", "gallery")
    absent = labels >= 20
    roles[absent] = "query"
    found = thresholds(x, labels, roles)
    assert (found.n_mated, found.n_unmated) == (40, 50)
    values = {}
    rows = unit_rows(x)
    for q in np.flatnonzero(roles == "query"):
        values[q] = max(
            similarity(rows[q], rows[g], "cosine") for g in np.flatnonzero(roles == "gallery")
        )
    strangers = sorted((v for q, v in values.items() if absent[q]), reverse=True)
    limit = strangers[5]  # a tenth of 50 may be let in
    expected = np.mean([v <= limit + 1e-7 for q, v in values.items() if not absent[q]])
    assert found.open_set.set_index("fpir_level").loc[0.1, "fnir"] == pytest.approx(expected)


def test_examples_stand_beside_their_threshold():
    x, labels = drawn()
    found = thresholds(x, labels, n_bootstrap=0)
    edges = found.curve["threshold"].to_numpy()
    pairs = found.examples
    assert (labels[pairs["query"]] == labels[pairs["item"]]).tolist() == pairs["same"].tolist()
    cells = pairs[pairs["cell"] >= 0]
    inside = np.searchsorted(edges, cells["similarity"].to_numpy() - 1e-6, side="right")
    assert (np.abs(inside - cells["cell"]) <= 1).all()
    values, same = all_pairs(x, labels, None, "cosine")
    extreme = pairs[pairs["cell"] < 0]
    assert extreme.loc[~extreme["same"], "similarity"].max() == pytest.approx(values[~same].max())
    assert extreme.loc[extreme["same"], "similarity"].min() == pytest.approx(values[same].min())


def test_what_is_written_is_what_is_read():
    found = thresholds(*drawn(n_classes=20))
    again = Thresholds.from_dict(found.to_dict())
    assert again.to_dict() == found.to_dict()
    assert again.points["low"].dtype == float


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2]])
def test_pairs_of_one_kind_allow_no_threshold(labels):
    with pytest.raises(UserError, match="no pair"):
        thresholds(np.eye(3), np.array(labels))


def test_levels_are_rates():
    with pytest.raises(UserError, match="between 0 and 1"):
        thresholds(*drawn(), levels=(1.0,))
