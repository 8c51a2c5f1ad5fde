"""Layouts: deterministic, faithful to neighbors, any size, duplicates."""

import subprocess
import sys

import numpy as np
import pytest

from retrieval.errors import UserError
from retrieval.evaluation import evaluate
from retrieval.projection import COLUMNS, project

QUIET = {"kmeans": "none", "n_bootstrap": 0}


def lay_out(x, distance="cosine", **options):
    graph = evaluate(x, np.zeros(len(x)), distance=distance, k_neighbors=20, **QUIET)
    return project(x, graph.neighbors, graph.similarities, distance=distance, **options)


def clusters(n=150, d=16, classes=5, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    x = 3 * rng.standard_normal((classes, d))[labels] + rng.standard_normal((n, d))
    return x.astype(np.float32), labels


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 16, 40])
def test_any_number_of_items(n):
    x, _ = clusters(n)
    layout = lay_out(x)
    assert layout.shape == (n, 5)
    assert tuple(layout.columns) == COLUMNS
    assert np.isfinite(layout.to_numpy()).all()


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_classes_that_are_apart_stay_apart(distance):
    x, labels = clusters()
    layout = lay_out(x, distance)[["umap_x", "umap_y"]].to_numpy()
    near = evaluate(layout, labels, distance="euclidean", **QUIET)
    assert near.metrics["recall@1"] > 0.97


def test_same_input_same_layout():
    x, _ = clusters()
    np.testing.assert_array_equal(lay_out(x), lay_out(x))


def test_pca_is_the_best_linear_view():
    x, _ = clusters(200)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    layout = lay_out(x)
    singular = np.linalg.svd(unit - unit.mean(0), compute_uv=False)[:3]
    found = np.linalg.norm(layout[["pca_x", "pca_y", "pca_z"]], axis=0)
    np.testing.assert_allclose(found, singular, rtol=1e-4)


def test_duplicates():
    x, _ = clusters(60)
    x[:40] = x[0]
    assert np.isfinite(lay_out(x).to_numpy()).all()
    assert np.isfinite(lay_out(np.ones((30, 4), np.float32)).to_numpy()).all()


def test_starting_from_another_layout_keeps_items_near_their_places():
    x, _ = clusters(150, seed=1)
    first = lay_out(x)[["umap_x", "umap_y"]].to_numpy()
    noisy = x + 0.1 * np.random.default_rng(2).standard_normal(x.shape).astype(np.float32)

    def moved(layout):
        a, b = (v - v.mean(0) for v in (first, layout[["umap_x", "umap_y"]].to_numpy()))
        return np.linalg.norm(a / a.std() - b / b.std(), axis=1).mean()

    turned = first[:, ::-1] * [1, -1]
    assert moved(lay_out(noisy, init_from=first)) < 0.7
    assert moved(lay_out(noisy, init_from=turned)) > 1


def test_bad_input():
    x, _ = clusters(20)
    graph = evaluate(x, np.zeros(20), **QUIET)
    with pytest.raises(UserError, match="10 rows of neighbors for 20 items"):
        project(x, graph.neighbors[:10], graph.similarities[:10])
    with pytest.raises(UserError, match=r"init_from has shape \(5, 2\)"):
        project(x, graph.neighbors, graph.similarities, init_from=np.zeros((5, 2)))


def test_umap_does_not_load_tensorflow():
    code = (
        "import sys; from retrieval.projection import load_umap; load_umap().UMAP; "
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
