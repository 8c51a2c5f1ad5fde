"""Build small, true run folders for the app's tests: real photographs, real nearest neighbours."""

import json
from pathlib import Path

import faiss
import numpy as np
import pandas as pd
from PIL import Image
from sklearn.datasets import load_sample_images

from retrieval.runs import write_config
from retrieval.thumbnails import write_thumbnails

GRID = 6  # classes per photograph: GRID x GRID // 2 tiles
CROPS = 6  # jittered crops of every tile


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
    """Embed by tiny image and colour histogram; ``noise`` makes a worse 'loss'."""
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


def neighbours_of(x, labels, queries, gallery, k: int = 64) -> dict[str, np.ndarray]:
    """Exact neighbours of unit vectors, self excluded by index, and the first-hit ranks."""
    index = faiss.IndexFlatIP(x.shape[1])
    index.add(x[gallery])
    sims, local = index.search(x[queries], len(gallery))
    ids = gallery[local].astype(np.int32)
    keep = ids != queries[:, None]
    out_ids = np.full((len(queries), k), -1, np.int32)
    out_sims = np.full((len(queries), k), -np.inf, np.float32)
    first, item = np.zeros(len(queries), np.int32), np.full(len(queries), -1, np.int32)
    for q in range(len(queries)):
        row, sim = ids[q][keep[q]], sims[q][keep[q]]
        n = min(k, len(row))
        out_ids[q, :n], out_sims[q, :n] = row[:n], sim[:n]
        hits = np.flatnonzero(labels[row] == labels[queries[q]])
        if len(hits):
            first[q], item[q] = hits[0] + 1, row[hits[0]]
    return {
        "queries": queries.astype(np.int32),
        "ids": out_ids,
        "similarities": out_sims,
        "first_hit": first,
        "first_hit_item": item,
    }


def metrics_of(name: str, title: str, dataset: str, part: dict, labels, n_gallery: int) -> dict:
    """Metrics of one protocol, in the shape of ``metrics.json``."""
    hit = labels[part["ids"]] == labels[part["queries"]][:, None]
    hit &= part["ids"] >= 0
    valid = part["first_hit"] > 0
    rng = np.random.default_rng(0)
    values = {}
    for k in (1, 2, 4, 8):
        right = ((part["first_hit"] <= k) & valid).astype(float)
        draws = rng.choice(right, (200, len(right))).mean(1)
        low, high = np.quantile(draws, [0.025, 0.975])
        values[f"recall@{k}"] = {"value": right.mean(), "low": low, "high": high}
    r = np.bincount(labels)[labels[part["queries"]]] - 1
    precision = np.array([hit[q, : max(1, min(r[q], 64))].mean() for q in range(len(hit))])
    maps = []
    for q in range(len(hit)):
        h = hit[q, : max(1, min(r[q], 64))]
        maps.append((np.cumsum(h) / np.arange(1, len(h) + 1) * h).sum() / len(h))
    for key, x in (("r_precision", precision), ("map@r", np.array(maps)), ("nmi", precision)):
        sd = 1.96 * x.std() / np.sqrt(len(x))
        values[key] = {"value": x.mean(), "low": x.mean() - sd, "high": x.mean() + sd}
    return {
        "protocol": {
            "name": name,
            "title": title,
            "dataset": dataset,
            "split": "test",
            "rule": "every item queries all others" if name == "leave_one_out" else title,
            "distance": "cosine",
            "normalised": True,
            "no_positive": "exclude",
            "kmeans": "k-means++",
            "seed": 0,
        },
        "n_items": len(labels),
        "n_queries": len(part["queries"]),
        "n_gallery": n_gallery,
        "n_classes": int(labels.max()) + 1,
        "n_without_positive": int((~valid).sum()),
        "metrics": {k: {s: float(v) for s, v in d.items()} for k, d in values.items()},
        "geometry": {"embedding_density": 0.7, "spectral_decay": 0.4},
    }


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
    labels = items["label"].to_numpy()
    dataset = path.parent.name
    everything = np.arange(len(items))
    protocols = {"leave_one_out": (everything, everything)}
    if (items["role"] != "both").any():
        role = items["role"].to_numpy()
        protocols["query_gallery"] = (
            np.flatnonzero(role != "gallery"),
            np.flatnonzero(role != "query"),
        )
    arrays, results = {}, []
    for name, (queries, gallery) in protocols.items():
        part = neighbours_of(embeddings, labels, queries, gallery)
        arrays |= {f"{name}/{key}": value for key, value in part.items()}
        shown = title if name == "query_gallery" else "leave-one-out"
        results.append(metrics_of(name, shown, dataset, part, labels, len(gallery)))
    np.savez(path / "neighbours.npz", **arrays)
    primary = list(protocols)[-1]
    (path / "metrics.json").write_text(
        json.dumps({"schema": 1, "primary": primary, "results": results})
    )
    np.save(path / "embeddings.npy", embeddings)
    items.to_parquet(path / "items.parquet")
    write_config(path, _config(items, data_root, dataset, loss, seed, title))
    _write_history(path, results[-1], seed)
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
        },
    }


def _write_history(path: Path, result: dict, seed: int) -> None:
    steps = np.arange(10, 501, 10)
    rng = np.random.default_rng(seed)
    loss = 0.2 + np.exp(-steps / 120) + 0.02 * rng.standard_normal(len(steps))
    final = result["metrics"]["recall@1"]["value"]
    recall = np.where(steps % 100 == 0, final * (1 - np.exp(-steps / 90) / 2), np.nan)
    pd.DataFrame({"step": steps, "loss": loss, "learning_rate": 3e-4, "recall@1": recall}).to_csv(
        path / "history.csv", index=False
    )


def _write_projection(path: Path, x: np.ndarray) -> None:
    u, s, _ = np.linalg.svd(x - x.mean(0), full_matrices=False)
    pca = (u * s)[:, :3].astype(np.float32)
    spread = np.tanh(3 * pca[:, :2]) * 8 + pca[:, [2, 0]]
    pd.DataFrame(
        np.column_stack([spread, pca]).astype(np.float32),
        columns=["umap_x", "umap_y", "pca_x", "pca_y", "pca_z"],
    ).to_parquet(path / "projection.parquet")
