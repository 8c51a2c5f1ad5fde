"""The studentized bootstrap over classes: against plain loops, and its coverage by simulation."""

import numpy as np
import pytest
from scipy import special

from retrieval.evaluation import evaluate
from retrieval.evaluation.bootstrap import (
    ClassScores,
    class_sums,
    class_weights,
    jackknife_errors,
    level_intervals,
    studentize,
)


def test_class_sums_by_hand():
    sums, size = class_sums(np.array([[1.0], [2], [4], [8]]), np.array([7, 3, 7, 3]))
    assert sums.tolist() == [[10], [5]]
    assert size.tolist() == [2, 2]


def scores_of(k: int, seed: int = 0, classes: int = 12) -> tuple[ClassScores, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), rng.integers(1, 6, classes))
    return ClassScores.of([rng.random((1, len(labels))) for _ in range(k)], labels), labels


@pytest.mark.parametrize("pairs", [None, [(0, 1), (2, 0)]])
def test_every_resample_is_divided_by_its_own_error(pairs):
    scores, _ = scores_of(3)
    found = studentize(scores, pairs, 30, seed=5)
    weights = np.concatenate(list(class_weights(len(scores.size), 30, seed=5)))
    columns = scores.sums if pairs is None else np.stack(
        [scores.sums[:, a] - scores.sums[:, b] for a, b in pairs], axis=1
    )  # fmt: skip

    def mean_and_error(sums: np.ndarray, size: np.ndarray) -> tuple[float, float]:
        mean, c = sums.sum() / size.sum(), len(size)
        return mean, np.sqrt(c / (c - 1) * np.square(sums - size * mean).sum()) / size.sum()

    for column, sums in enumerate(columns.T):
        mean, error = mean_and_error(sums, scores.size)
        assert (found.estimate[column], found.error[column]) == pytest.approx((mean, error))
        for t, drawn in zip(found.t[:, column], weights.astype(int), strict=True):
            other, spread = mean_and_error(np.repeat(sums, drawn), np.repeat(scores.size, drawn))
            assert t == pytest.approx((other - mean) / spread, rel=1e-4)


def test_of_several_seeds_only_what_classes_do_not_explain_is_added():
    labels = np.repeat(np.arange(40), 5)
    rng = np.random.default_rng(1)
    base = rng.random(200)
    moved = np.stack([base + shift for shift in (-0.1, 0.0, 0.1)])
    scores = ClassScores.of([moved, base[None]], labels)
    assert scores.seed_variance == pytest.approx([0.01, 0])
    assert scores.class_noise == pytest.approx([0, 0], abs=1e-12)
    assert scores.seed_errors == pytest.approx([0.01 / 3, 0])


def test_the_interval_of_a_run_is_one_number_wherever_it_is_shown():
    """That of an evaluation is that of a comparison, whatever else is compared."""
    from retrieval.evaluation import compare

    rng = np.random.default_rng(2)
    labels = np.repeat(np.arange(30), 6)
    x = rng.standard_normal((30, 8))[labels] + 0.8 * rng.standard_normal((180, 8))
    runs = {d: evaluate(x[:, :d], labels, kmeans="none") for d in (2, 4, 8)}
    for compared in (compare(runs), compare({2: runs[2], 8: [runs[8], runs[4]]})):
        shown = compared.summary.set_index("name").loc[2]
        assert (shown["low"], shown["high"]) == pytest.approx(runs[2].intervals["recall@1"])


def test_the_jackknife_error_leaves_out_each_class_in_turn():
    scores, _ = scores_of(2)
    found = jackknife_errors(scores.sums, scores.size)
    c = len(scores.size)
    for column, sums in enumerate(scores.sums.T):
        without = [
            np.delete(sums, i).sum() / np.delete(scores.size, i).sum() for i in range(c)
        ]  # fmt: skip
        center = sums.sum() / scores.size.sum()
        assert found[column] == pytest.approx(
            np.sqrt((c - 1) / c * np.square(np.array(without) - center).sum())
        )
    # Of classes of one size it is the linearized error, that of the mean of the classes' means.
    equal = np.arange(12.0)[:, None]
    assert jackknife_errors(equal, np.ones(12)) == pytest.approx(equal.std(ddof=1) / 12**0.5)


def test_no_interval_of_a_level_is_shorter_than_student_s():
    rng = np.random.default_rng(4)
    labels = np.repeat(np.arange(40), rng.integers(1, 40, 40))
    hits = rng.random((5, len(labels))) < rng.uniform(0.2, 0.6, 40)[labels]
    scores = ClassScores.of([run[None].astype(float) for run in hits], labels)
    low, high = level_intervals(scores)
    error = jackknife_errors(scores.sums, scores.size)
    half = special.stdtrit(scores.effective - 1, 0.975) * error
    assert (scores.means - low >= half - 1e-12).all()
    assert (high - scores.means >= half - 1e-12).all()


def test_a_run_without_a_mistake_is_not_called_perfect():
    labels = np.repeat(np.arange(40), 5)
    low, high = level_intervals(ClassScores.of([np.ones((1, 200))], labels))
    assert (low[0], high[0]) == pytest.approx((0.025 ** (1 / 40), 1))


def test_few_classes_have_no_interval():
    labels = np.repeat(np.arange(9), 5)
    assert np.isnan(level_intervals(ClassScores.of([np.ones((1, 45))], labels))).all()
    rng = np.random.default_rng(3)
    x = rng.standard_normal((45, 4))
    assert evaluate(x, labels).intervals == {}
    assert evaluate(np.repeat(x, 2, axis=0), np.repeat(np.arange(18), 5)).intervals["nmi"]
