"""The geometry card against loops and closed forms."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from retrieval.evaluation import evaluate, geometry
from retrieval.evaluation.geometry import COLLAPSED, is_collapsed, relative_spread
from retrieval.evaluation.search.threads import worker_pool

QUIET = {"kmeans": "none", "n_bootstrap": 0}


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 9, 120)
    x = rng.standard_normal((9, 5))[labels] + rng.standard_normal((120, 5))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), labels


def test_class_density_and_alignment_by_loops(data):
    x, labels = data
    card = evaluate(x, labels, **QUIET).geometry
    means = np.stack([x[labels == c].mean(0) for c in range(9)])
    intra = np.mean([np.linalg.norm(x[i] - means[labels[i]]) for i in range(120)])
    inter = np.mean([np.linalg.norm(a - b) for i, a in enumerate(means) for b in means[:i]])
    positive = [
        ((x[i] - x[j]) ** 2).sum() for i in range(120) for j in range(i) if labels[i] == labels[j]
    ]
    assert card["intra_distance"] == pytest.approx(intra, rel=1e-5)
    assert card["inter_distance"] == pytest.approx(inter, rel=1e-5)
    assert card["density"] == pytest.approx(intra / inter, rel=1e-5)
    assert card["alignment"] == pytest.approx(np.mean(positive), rel=1e-5)


def test_uniformity_by_loops(data):
    x, labels = data
    pairs = [np.exp(-2 * ((x[i] - x[j]) ** 2).sum()) for i in range(120) for j in range(i)]
    card = evaluate(x, labels, **QUIET).geometry
    assert card["uniformity"] == pytest.approx(np.log(np.mean(pairs)), rel=1e-4)


def test_spectrum_of_equal_and_of_few_directions():
    corners = np.concatenate([np.eye(6), -np.eye(6)])
    line = np.outer([1.0, -1, 0.5], [1, 0, 0, 0])
    with worker_pool(1) as pool:
        card, of_line = geometry.spectrum(corners, pool), geometry.spectrum(line, pool)
    assert card["spectral_decay"] == pytest.approx(0, abs=1e-9)
    assert card["effective_rank"] == pytest.approx(6)
    assert of_line["spectral_decay"] > 5
    assert of_line["effective_rank"] == pytest.approx(1, abs=1e-6)


def test_spectral_decay_is_the_divergence_from_uniform(data):
    x, labels = data
    singular = np.linalg.svd(x - x.mean(0), compute_uv=False)
    share = singular / singular.sum()
    card = evaluate(x, labels, **QUIET).geometry
    expected = stats.entropy(np.full(5, 1 / 5), share)
    assert card["spectral_decay"] == pytest.approx(expected, rel=1e-4)


def test_hubness_is_the_skewness_of_k_occurrence(data):
    x, labels = data
    result = evaluate(x, labels, **QUIET)
    counts = np.bincount(result.neighbors[:, :10].ravel(), minlength=120)
    assert result.geometry["hubness"] == pytest.approx(stats.skew(counts))
    assert result.geometry["share_never_retrieved"] == (counts == 0).mean()


@pytest.mark.parametrize("k", [0, 3])
def test_the_card_is_the_same_however_few_neighbors_are_kept(data, k):
    few, many = evaluate(*data, k_neighbors=k, **QUIET), evaluate(*data, **QUIET)
    assert few.geometry == many.geometry
    assert few.neighbors.tolist() == many.neighbors[:, :k].tolist()
    assert few.similarities.shape == (len(data[0]), k)


def test_near_duplicates_count_queries_with_a_twin():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((40, 32))
    x[:4] = 3 * x[4:8]
    card = evaluate(x, np.arange(40) % 5, **QUIET).geometry
    assert card["near_duplicates"] == 8 / 40
    other = evaluate(x, np.arange(40) % 5, distance="euclidean", **QUIET).geometry
    assert other["near_duplicates"] <= 8 / 40


@pytest.mark.parametrize("n", [1, 2])
def test_values_that_are_not_defined_are_none_in_json(n):
    result = evaluate(np.ones((n, 3)), np.zeros(n))
    card = result.to_dict()["geometry"]
    assert card["inter_distance"] is None
    assert card["density"] is None
    assert all(v is None or np.isfinite(v) for v in card.values())


def test_large_sets_are_sampled(monkeypatch):
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 40, 3000)
    x = rng.standard_normal((40, 8))[labels] + rng.standard_normal((3000, 8))
    ranking = SimpleNamespace(ids=np.zeros((3000, 0), np.int32), queries=np.arange(3000))
    with worker_pool(1) as pool:
        whole = geometry.geometry(x, labels, ranking, 3000, pool=pool)
        monkeypatch.setattr(geometry, "MOST", 1500)
        sample = geometry.geometry(x, labels, ranking, 3000, pool=pool)
    for name in ("density", "alignment", "uniformity", "spectral_decay"):
        assert sample[name] == pytest.approx(whole[name], rel=0.06), name


def embeddings_of(spread: float) -> np.ndarray:
    """60 rows that differ from one another by about ``spread`` of their length."""
    noise = np.random.default_rng(0).standard_normal((60, 8))
    return (np.ones(8) + spread * noise).astype(np.float32)


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("spread", [1e-1, 1e-3, 1e-6])
def test_the_spread_is_relative_to_the_length(spread, distance):
    rows = embeddings_of(spread)
    found = relative_spread(rows, distance)
    assert spread / 1.5 < found < spread * 1.5
    assert relative_spread(1000 * rows, distance) == pytest.approx(found, rel=0.05)


def test_a_training_batch_has_the_same_spread():
    from retrieval.training.model import relative_spread as of_batch

    rows = embeddings_of(0.5)
    assert relative_spread(rows, "euclidean") == pytest.approx(float(of_batch(rows)), rel=1e-5)


def test_equal_rows_and_zero_rows_are_collapsed_and_blocks_do_not_matter(monkeypatch):
    assert relative_spread(np.zeros((5, 3)), "cosine") == 0
    assert relative_spread(np.full((5, 3), 7.0), "euclidean") == 0
    whole = relative_spread(embeddings_of(0.5), "cosine")
    monkeypatch.setattr(geometry, "BLOCK", 7)
    assert relative_spread(embeddings_of(0.5), "cosine") == pytest.approx(whole)


def test_lengths_count_only_where_the_distance_depends_on_them():
    rows = np.outer(np.arange(1, 21), np.ones(4))  # one direction, many lengths
    assert relative_spread(rows, "cosine") < 1e-6
    assert relative_spread(rows, "euclidean") > 0.4


@pytest.mark.parametrize("card", [{}, {"relative_spread": np.nan}, {"relative_spread": 1}])
def test_a_run_of_unknown_spread_is_not_called_collapsed(card):
    assert not is_collapsed(card)
    assert is_collapsed({"relative_spread": COLLAPSED / 2})
