"""Build small, true run folders for the app's tests: real photographs, real nearest neighbors."""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.datasets import load_sample_images

from retrieval.evaluation import evaluate
from retrieval.runs.evaluate import write_metrics
from retrieval.runs.neighbors import write_neighbors
from retrieval.runs.thumbnails import write_thumbnails
from retrieval.runs.writing import write_config

GRID = 6  # classes per photograph: GRID x GRID // 2 tiles
CROPS = 6  # jittered crops of every tile
# Names that must not be read as markup.
NAMES = [
    "<b>bold</b> & <script>window.hacked = true</script>",
    "\"quotes\" 'and' `ticks` $x^2$ :red[red] [link](javascript:alert(1))",
    "🍋 lemon 🍑",
    "תפוח ירוק",
    "long " * 60,
    "| table | **bold** |",
]


def photo_tiles(folder: Path, seed: int = 0) -> pd.DataFrame:
    """Cut jittered crops from the two photographs that scikit-learn ships; class = tile."""
    rng = np.random.default_rng(seed)
    rows = []
    for photo, pixels in zip(("temple", "flower"), load_sample_images().images, strict=True):
        image = Image.fromarray(pixels)
        side = image.height // GRID
        for cell in range(0, GRID * GRID, 2):
            name = f"{photo} {cell // GRID}-{cell % GRID}"
            for crop in range(CROPS):
                x, y = side * (cell % GRID) + 60, side * (cell // GRID)
                dx, dy = rng.integers(-side // 3, side // 3 + 1, 2)
                box = (x + dx, max(0, y + dy), x + dx + side, max(0, y + dy) + side)
                path = Path(name.replace(" ", "_")) / f"{crop}.jpg"
                (folder / path.parent).mkdir(parents=True, exist_ok=True)
                image.crop(box).resize((160, 160)).save(folder / path, quality=88)
                rows.append((path.as_posix(), name, photo))
    frame = pd.DataFrame(rows, columns=["path", "label_name", "super_name"])
    frame["label"] = pd.factorize(frame["label_name"])[0].astype(np.int64)
    frame["super_label"] = pd.factorize(frame["super_name"])[0].astype(np.int64)
    frame["split"] = "test"
    frame["role"] = np.where(np.arange(len(frame)) % CROPS < 2, "query", "gallery")
    frame.insert(0, "item", np.arange(len(frame)))
    return frame


def pixel_embeddings(paths: list[str], *, size: int = 8, noise: float = 0.0, seed: int = 0):
    """Embed by tiny image and color histogram; ``noise`` makes a worse 'loss'."""
    rows = []
    for path in paths:
        with Image.open(path) as image:
            image = image.convert("RGB")
            tiny = np.asarray(image.resize((size, size)), np.float32).ravel() / 255
            histogram = np.histogramdd(
                np.asarray(image.resize((32, 32)), np.float32).reshape(-1, 3),
                bins=(4, 4, 4),
                range=[(0, 256)] * 3,
            )[0].ravel()
        rows.append(np.concatenate([(tiny - tiny.mean()) / 6, 3 * np.sqrt(histogram / 1024)]))
    x = np.asarray(rows, np.float32)
    x -= x.mean(0)
    x += noise * x.std() * np.random.default_rng(seed).standard_normal(x.shape, np.float32)
    basis = np.linalg.svd(x, full_matrices=False)[2][:64]
    x = np.ascontiguousarray(x @ basis.T, np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def write_run(
    path: Path,
    items: pd.DataFrame,
    embeddings: np.ndarray,
    data_root: Path,
    *,
    loss: str | None = "semi_hard_triplet",
    seed: int = 0,
    title: str = "cross-store",
    projection: bool = True,
) -> Path:
    """Write a whole run folder and return it."""
    path.mkdir(parents=True)
    dataset = path.parent.name
    _write_evaluation(path, items, embeddings, title)
    np.save(path / "embeddings.npy", embeddings)
    items.to_parquet(path / "items.parquet")
    write_config(path, _config(items, data_root, dataset, loss, seed, title))
    _write_history(path, seed)
    if projection:
        _write_projection(path, embeddings)
    paths = [str(data_root / p) for p in items["path"]]
    write_thumbnails(path / "thumbnails", paths, progress=False)
    return path


def _config(items, data_root: Path, dataset: str, loss: str | None, seed: int, title: str) -> dict:
    settings = {
        "dataset": dataset,
        "loss": loss,
        "loss_options": {"margin": 0.2},
        "backbone": "efficientnet_lite0",
        "embedding_size": 64,
        "seed": seed,
        "steps": 500,
    }
    return {
        "settings": settings if loss else None,
        "dataset": {
            "name": dataset,
            "root": str(data_root),
            "options": {},
            "n_train": 0,
            "n_test": len(items),
            "query_gallery_title": title,
        },
        "provenance": {
            "versions": {"tensorflow": "2.21.0", "keras": "3.15.1"},
            "seed": seed,
            "git_revision": "abc1234",
            "created": "2026-01-01T12:00:00",
            "seconds": 12.5,
            "machine": "2 cores",
            "device": "NVIDIA H200 (138 GiB), float32",
        },
    }


def _write_evaluation(path: Path, items: pd.DataFrame, embeddings: np.ndarray, title: str) -> None:
    labels, roles = items["label"].to_numpy(), items["role"].to_numpy(dtype=object)
    results = {"leave_one_out": evaluate(embeddings, labels, n_bootstrap=200)}
    if (roles != "both").any():
        results["query_gallery"] = evaluate(embeddings, labels, roles, n_bootstrap=200)
    write_neighbors(path, results)
    titles = {"leave_one_out": "leave-one-out", "query_gallery": title}
    write_metrics(path, results, titles, path.parent.name)


def _write_history(path: Path, seed: int) -> None:
    steps = np.arange(10, 501, 10)
    rng = np.random.default_rng(seed)
    loss = 0.2 + np.exp(-steps / 120) + 0.02 * rng.standard_normal(len(steps))
    recall = np.where(steps % 100 == 0, 0.8 * (1 - np.exp(-steps / 90) / 2), np.nan)
    history = {"step": steps, "loss": loss, "learning_rate": 3e-4, "recall@1": recall}
    pd.DataFrame(history).to_csv(path / "history.csv", index=False)


def _write_projection(path: Path, x: np.ndarray) -> None:
    u, s, _ = np.linalg.svd(x - x.mean(0), full_matrices=False)
    pca = (u * s)[:, :3].astype(np.float32)
    spread = np.tanh(3 * pca[:, :2]) * 8 + pca[:, [2, 0]]
    pd.DataFrame(
        np.column_stack([spread, pca]).astype(np.float32),
        columns=["umap_x", "umap_y", "pca_x", "pca_y", "pca_z"],
    ).to_parquet(path / "projection.parquet")
