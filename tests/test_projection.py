"""Maps of items: deterministic, faithful to neighbors, of any size, and over training steps."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from retrieval.errors import UserError
from retrieval.evaluation import evaluate
from retrieval.projection import (
    COLUMNS,
    COMPILED,
    align,
    load_umap,
    make_evolution,
    project,
    save_snapshot,
    snapshots,
    umap_from,
)

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


def test_what_umap_compiles_is_kept_for_other_processes():
    umap = load_umap()
    for module, names in COMPILED.items():
        for name in names:
            assert getattr(getattr(umap, module), name).stats.cache_path, name


def test_umap_does_not_load_tensorflow():
    code = (
        "import sys; from retrieval.projection import load_umap; load_umap().UMAP; "
        "assert not {'tensorflow', 'keras', 'umap.parametric_umap'} & set(sys.modules); "
        "assert load_umap() is load_umap()"
    )
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}  # UMAP's functions are not called
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=False)
    assert done.returncode == 0


def two_axes(embeddings: np.ndarray, start: np.ndarray, distance: str) -> np.ndarray:
    """Lay out by two principal components, rotated at random: faster than UMAP."""
    centered = embeddings - embeddings.mean(0)
    axes = np.linalg.svd(centered, full_matrices=False)[2][:2]
    turn = np.linalg.qr(np.random.default_rng(len(start)).standard_normal((2, 2)))[0]
    return (centered @ axes.T @ turn).astype(np.float32)


@pytest.fixture
def folder(tmp_path):
    """Sixty items in three clusters that move apart over three snapshots."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 20)
    centers, noise = np.eye(8)[:3], rng.standard_normal((60, 8)) / 4
    (tmp_path / "snapshots").mkdir()
    for step, apart in ((100, 0.5), (200, 1.0), (300, 2.0)):
        np.save(
            tmp_path / "snapshots" / f"step-{step:06d}.npy",
            (apart * centers[labels] + noise).astype(np.float32),
        )
    final = 5 * np.array([[0, 0], [1, 0], [0, 1]])[labels] + rng.standard_normal((60, 2)) / 3
    pd.DataFrame(final.astype(np.float32), columns=["umap_x", "umap_y"]).to_parquet(
        tmp_path / "projection.parquet"
    )
    return tmp_path


def test_every_snapshot_gets_a_map_and_clusters_stay_in_place(folder):
    assert make_evolution(folder, lay_out=two_axes) == 3
    kept = np.load(folder / "evolution.npz")
    assert kept["steps"].tolist() == [100, 200, 300]
    assert kept["points"].shape == (3, 60, 2)
    assert kept["points"].dtype == np.float32
    final = pd.read_parquet(folder / "projection.parquet").to_numpy()
    centers = final.reshape(3, 20, 2).mean(1)
    last = kept["points"][-1].reshape(3, 20, 2).mean(1)
    spread = np.linalg.norm(centers[1:] - centers[0], axis=1).min()
    assert np.linalg.norm(last - centers, axis=1).max() < spread / 2


def test_without_snapshots_nothing_is_written(tmp_path):
    assert make_evolution(tmp_path) == 0
    assert list(tmp_path.iterdir()) == []


def test_other_files_are_no_snapshots(folder):
    (folder / "snapshots" / "step-x.npy").write_bytes(b"")
    assert list(snapshots(folder)) == [100, 200, 300]


def test_a_snapshot_of_other_items_is_refused(folder):
    np.save(folder / "snapshots" / "step-000050.npy", np.zeros((7, 8), np.float32))
    with pytest.raises(UserError, match=r"step-000050\.npy: 7 rows, but the run has 60 items"):
        make_evolution(folder, lay_out=two_axes)
    assert not (folder / "evolution.npz").exists()


def test_alignment_undoes_turning_mirroring_scaling_and_shifting():
    rng = np.random.default_rng(0)
    onto = rng.standard_normal((40, 2)).astype(np.float32)
    turn = np.array([[0.6, 0.8], [0.8, -0.6]])
    moved, fit = align((3 * onto @ turn + 7).astype(np.float32), onto)
    np.testing.assert_allclose(moved, onto, atol=1e-4)
    assert fit == pytest.approx(1, abs=1e-5)
    noise = rng.standard_normal((40, 2)).astype(np.float32)
    assert align(noise, onto)[1] < 0.3


def test_alignment_of_a_single_point_stays_finite():
    moved, fit = align(np.zeros((3, 2), np.float32), np.eye(3, 2, dtype=np.float32))
    assert np.isfinite(moved).all()
    assert fit == 0


def test_a_snapshot_is_kept_in_half_precision_unless_that_overflows(tmp_path):
    rows = np.array([[1.0, -2.5], [0.125, 3.0]], np.float32)
    save_snapshot(tmp_path, 7, rows)
    save_snapshot(tmp_path, 8, rows * 1e6)
    small, large = (np.load(path) for path in snapshots(tmp_path).values())
    assert (small.dtype, large.dtype) == (np.float16, np.float32)
    np.testing.assert_array_equal(small, rows)
    np.testing.assert_array_equal(large, rows * 1e6)


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_clusters_stay_clusters_when_umap_lays_them_out(distance):
    rng, labels = np.random.default_rng(0), np.repeat([0, 1], 15)
    embeddings = (6 * np.eye(8)[labels] + rng.standard_normal((30, 8))).astype(np.float32)
    start = rng.standard_normal((30, 2)).astype(np.float32)
    layout = umap_from(embeddings, start, distance)
    centers = np.stack([layout[labels == label].mean(0) for label in (0, 1)])
    far = np.linalg.norm(layout[:, None] - centers, axis=2)
    assert (far.argmin(1) == labels).mean() > 0.9
