"""Build the runs that ``benchmarks/app.py`` opens: made-up embeddings, cuts of real photographs."""

import io
import os
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.datasets import load_sample_images

from retrieval.evaluation import evaluate
from retrieval.runs.evaluate import write_metrics
from retrieval.runs.neighbors import write_neighbors
from retrieval.runs.writing import write_config

LOSSES = ("semi_hard_triplet", "hard_triplet", "lifted_loss", "npairs_loss", "angular_loss",
          "contrastive_loss")  # fmt: skip


def build(folder: Path, items: int, count: int) -> None:
    """Write the runs that are not there yet."""
    rng = np.random.default_rng(0)
    classes = max(2, round(items / 5.35))
    labels = np.sort(
        np.concatenate([np.arange(classes), rng.integers(0, classes, items - classes)])
    )
    centers = rng.standard_normal((classes, 128)).astype(np.float32)
    table = pd.DataFrame(
        {
            "item": np.arange(items),
            "path": [f"class_{c:05d}/{i:06d}_{c:05d}.jpg" for i, c in enumerate(labels)],
            "label": labels,
            "label_name": [
                f"product {c:05d} {['chair', 'lamp', 'sofa', 'mug'][c % 4]}" for c in labels
            ],
            "split": "test",
            "role": "both",
            "super_label": labels % 12,
            "super_name": [f"category {c % 12}" for c in labels],
        }
    )
    for number, loss in enumerate(LOSSES[:count]):
        path = folder / "products" / loss
        if path.exists():
            continue
        print(f"building {path} ...", flush=True)
        noise = rng.standard_normal((items, 128), np.float32)
        vectors = centers[labels] + (1.0 + 0.1 * number) * noise
        write_run(path, table, vectors / np.linalg.norm(vectors, axis=1, keepdims=True), loss)


def write_run(path: Path, table: pd.DataFrame, vectors: np.ndarray, loss: str) -> None:
    """Write one run, under another name until it is complete."""
    partial = path.with_name(f".{path.name}.partial")
    partial.mkdir(parents=True, exist_ok=True)
    labels = table["label"].to_numpy()
    result = evaluate(vectors, labels, kmeans="none", n_bootstrap=200)
    results = {"leave_one_out": result}
    write_neighbors(partial, results)
    write_metrics(partial, results, {"leave_one_out": "leave-one-out"}, "products")
    np.save(partial / "embeddings.npy", vectors)
    table.to_parquet(partial / "items.parquet")
    write_projection(partial, vectors)
    dataset = {"name": "products", "root": str(path), "options": {}, "query_gallery_title": ""}
    write_config(partial, {"settings": {"loss": loss, "seed": 0}, "dataset": dataset})
    write_thumbnails(partial / "thumbnails", len(table), path.parent)
    os.replace(partial, path)


def write_projection(folder: Path, vectors: np.ndarray) -> None:
    """Write positions; only their number matters here."""
    covariance = np.cov(vectors, rowvar=False)
    pca = (vectors @ np.linalg.eigh(covariance)[1][:, -3:]).astype(np.float32)
    columns = ["umap_x", "umap_y", "pca_x", "pca_y", "pca_z"]
    frame = pd.DataFrame(np.column_stack([3 * np.tanh(2 * pca[:, :2]), pca]), columns=columns)
    frame.astype(np.float32).to_parquet(folder / "projection.parquet")


def write_thumbnails(folder: Path, items: int, shared: Path, distinct: int = 3000) -> None:
    """Write 128 px WebP cuts of real photographs, one per item; runs share the file."""
    folder.mkdir(exist_ok=True)
    source = next(shared.glob("[!.]*/thumbnails"), None)
    if source is not None:
        for name in ("images.bin", "offsets.npy"):
            os.link(source / name, folder / name)
        return
    rng, photos = np.random.default_rng(0), load_sample_images().images
    cuts = []
    for _ in range(distinct):
        photo = photos[rng.integers(len(photos))]
        side = int(rng.integers(90, 300))
        y, x = (int(rng.integers(0, n - side)) for n in photo.shape[:2])
        buffer = io.BytesIO()
        cut = Image.fromarray(photo[y : y + side, x : x + side]).resize((128, 128))
        cut.save(buffer, "WEBP", quality=80, method=2)
        cuts.append(buffer.getvalue())
    offsets = np.zeros(items + 1, np.int64)
    with (folder / "images.bin").open("wb") as out:
        for i in range(items):
            out.write(cuts[i % distinct])
            offsets[i + 1] = offsets[i] + len(cuts[i % distinct])
    np.save(folder / "offsets.npy", offsets)
