"""What makes a figure meaningless is said, and nothing is said of an ordinary evaluation."""

import numpy as np
import pytest

from retrieval.evaluation import evaluate
from retrieval.evaluation.caveats import NO_POSITIVES, ONE_CLASS, ONE_CLASS_IN_GALLERY, caveats

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 8)).astype(np.float32)
LABELS = np.arange(40) % 8
ROLES = np.array(["query"] * 20 + ["gallery"] * 20, object)


def said(x, labels, roles=None, **spread):
    result = evaluate(x, labels, roles, n_bootstrap=0, kmeans="none")
    return caveats(result.protocol, result.geometry | spread)


def test_nothing_is_said_of_an_ordinary_evaluation():
    assert said(X, LABELS) == said(X, LABELS, ROLES) == []


@pytest.mark.parametrize(
    ("labels", "roles", "expected"),
    [
        (np.zeros(40), None, ONE_CLASS),
        (np.zeros(40), ROLES, ONE_CLASS),
        (np.where(ROLES == "gallery", 0, LABELS), ROLES, ONE_CLASS_IN_GALLERY),
        (np.arange(40), None, NO_POSITIVES),
        (LABELS + 100 * (ROLES == "query"), ROLES, NO_POSITIVES),
    ],
)
def test_labels_that_decide_every_figure(labels, roles, expected):
    assert said(X, labels, roles) == [expected]


@pytest.mark.parametrize("noise", [0, 1e-6])  # the same image, in another batch
def test_copies_on_both_sides(noise):
    copied = X.copy()
    copied[20:30] = copied[:10] * (1 + noise)
    (line,) = said(copied, LABELS, ROLES)
    assert line.startswith("50% of the queries have an exact copy in the gallery")
    near = X.copy()
    near[20:30] = near[:10] + 0.01 * RNG.standard_normal((10, 8))
    assert said(near, LABELS, ROLES) == []


def test_equal_embeddings_are_collapsed_rather_than_copies():
    (line,) = said(np.ones((40, 8)), LABELS, relative_spread=0.0)
    assert line.startswith("collapsed")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"exclude_same": {"store": np.zeros(40)}}, "that is not left out"),
        ({"junk_same": {"store": np.zeros(40)}}, "that is not left out"),
        ({"relevance": [[] for _ in range(40)]}, "nothing in the gallery is judged relevant"),
    ],
)
def test_no_positive_is_put_down_to_what_took_it(options, expected):
    protocol = evaluate(X, LABELS, n_bootstrap=0, kmeans="none", **options).protocol
    (line,) = caveats(protocol, {})
    assert expected in line
    assert line.endswith("there is no Recall@K, and no other figure of a ranking")
