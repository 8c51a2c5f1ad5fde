"""Approximate search says what it misses, and never finds the query itself."""

import numpy as np
import pytest

from retrieval.errors import UserError
from retrieval.evaluation import evaluate
from retrieval.evaluation.approximate import evaluate_approximately


def data(n=600, d=24, classes=60):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, n)
    x = rng.standard_normal((classes, d))[labels] + rng.standard_normal((n, d))
    return x.astype(np.float32), labels, rng.choice(["query", "gallery", "both"], n)


@pytest.mark.parametrize("index", ["hnsw", "ivf"])
@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("with_roles", [False, True])
def test_full_effort_equals_exact(index, distance, with_roles):
    x, labels, roles = data()
    roles = roles if with_roles else None
    exact = evaluate(x, labels, roles, distance=distance, kmeans="none", n_bootstrap=0)
    found = evaluate_approximately(
        x, labels, roles, distance=distance, index=index, effort=600, n_checked=300
    )
    assert found.found > 0.999
    assert found.n_checked == 300
    assert found.n_without_positive == exact.protocol.n_without_positive
    for name, value in found.metrics.items():
        assert value == pytest.approx(exact.metrics[name], abs=0.002)
    assert (found.neighbors != found.queries[:, None]).all()
    assert str(found).startswith("APPROXIMATE R@1")


def test_low_effort_is_reported_as_such():
    x, labels, _ = data()
    low = evaluate_approximately(x, labels, index="ivf", effort=1)
    high = evaluate_approximately(x, labels, index="ivf", effort=30)
    assert low.found < 0.8 < high.found
    assert f"found {100 * low.found:.2f}% of the exact neighbors" in str(low)


def test_refusals():
    x, labels, _ = data(80)
    with pytest.raises(UserError, match="hnsw, ivf"):
        evaluate_approximately(x, labels, index="flat")
    with pytest.raises(UserError, match="cityblock"):
        evaluate_approximately(x, labels, distance="cityblock")
    for option, value in (("effort", 0), ("n_checked", 0), ("seed", -1)):
        with pytest.raises(UserError, match=rf"^{option} = {value}: "):
            evaluate_approximately(x, labels, **{option: value})
