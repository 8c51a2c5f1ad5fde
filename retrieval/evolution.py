"""How an embedding took shape: maps of the same items at several training steps, aligned.

A run trained with ``keep_embeddings`` has ``snapshots/step-000100.npy``, float16 (float32 where
that would overflow), (n, d), rows as in ``items.parquet``. Each is laid out by UMAP starting from
the layout of the step after it, the last from the run's own map, and then turned, mirrored and
scaled as a whole onto it (orthogonal Procrustes), so that items stay where they are unless they
move. The result is ``evolution.npz``: ``steps`` int32, (s,), and ``points`` float32, (s, n, 2).
"""

import re
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.linalg import orthogonal_procrustes
from tqdm.auto import tqdm

from retrieval.errors import UserError
from retrieval.evaluation.neighbours import search
from retrieval.evaluation.protocol import sides
from retrieval.evaluation.threads import worker_pool
from retrieval.files import atomic_path
from retrieval.projection import project

FILE = "evolution.npz"
NEIGHBOURS = 16
STEP = re.compile(r"step-(\d+)\.npy")


def snapshots(folder: Path) -> dict[int, Path]:
    """Return the snapshots of a run folder: training step -> file, earliest first."""
    found = {}
    for path in (Path(folder) / "snapshots").glob("step-*.npy"):
        match = STEP.fullmatch(path.name)
        if match:
            found[int(match[1])] = path
    return dict(sorted(found.items()))


def save_snapshot(folder: Path, step: int, embeddings: np.ndarray) -> None:
    """Keep the embeddings of a run's items after a training step.

    Args:
        folder: The run folder.
        step: Steps taken so far.
        embeddings: float, (n, d), rows as in ``items.parquet``.
    """
    fits = np.abs(embeddings).max() < np.finfo(np.float16).max
    with atomic_path(Path(folder) / "snapshots" / f"step-{step:06d}.npy") as temporary:
        np.save(temporary, embeddings.astype(np.float16 if fits else np.float32))


def make_evolution(folder: Path, distance: str = "cosine", *, progress: bool = False) -> int:
    """Write ``evolution.npz`` of a run that has snapshots and a map.

    Args:
        folder: The run folder, with ``items.parquet`` and ``projection.parquet``.
        distance: The distance that the map was made with.
        progress: Show a progress bar.

    Returns:
        How many steps it holds; 0, and nothing is written, without snapshots.

    Raises:
        UserError: A snapshot has other rows than the run has items.
    """
    folder = Path(folder)
    files = snapshots(folder)
    if not files:
        return 0
    final = pd.read_parquet(folder / "projection.parquet")[["umap_x", "umap_y"]]
    layout = final.to_numpy(np.float32)
    points = []
    bar = tqdm(list(files.items())[::-1], "maps of training steps", disable=not progress)
    for step, path in bar:
        embeddings = np.load(path, mmap_mode="r")
        if len(embeddings) != len(layout):
            raise UserError(
                f"{path}: {len(embeddings)} rows, but the run has {len(layout)} items; remove it"
            )
        placed = lay_out(np.asarray(embeddings, np.float32), layout, distance)
        layout = align(placed, layout)[0]
        points.append((step, layout))
    points.reverse()
    with atomic_path(folder / FILE) as temporary:
        np.savez(
            temporary,
            steps=np.array([step for step, _ in points], np.int32),
            points=np.stack([layout for _, layout in points]),
        )
    return len(points)


def lay_out(embeddings: np.ndarray, start: np.ndarray, distance: str) -> np.ndarray:
    """Lay embeddings (n, d) out in the plane, starting from a layout (n, 2)."""
    n = len(embeddings)
    alone = np.arange(n)  # each its own class: the neighbours are wanted, not the ranks of a class
    with worker_pool() as pool:
        ranking = search(embeddings, alone, sides(n, None), distance, NEIGHBOURS, pool=pool)
    frame = project(
        embeddings, ranking.ids, ranking.similarities, distance=distance, init_from=start
    )
    return frame[["umap_x", "umap_y"]].to_numpy(np.float32)


def align(points: np.ndarray, onto: np.ndarray) -> tuple[np.ndarray, float]:
    """Turn, mirror, scale and shift points as a whole to lie as close as can be on others.

    Orthogonal Procrustes with scaling (Gower 1975).

    Args:
        points: float32, (n, d).
        onto: float32, (n, d), the same items elsewhere.

    Returns:
        The points moved, float32, and the share of the variance of ``onto`` that they explain.
    """
    centre, target = onto.mean(0), onto - onto.mean(0)
    moved = points - points.mean(0)
    rotation, trace = orthogonal_procrustes(moved, target)
    size, total = float((moved**2).sum()), float((target**2).sum())
    if size == 0 or total == 0:
        return np.broadcast_to(centre, points.shape).astype(np.float32), 0.0
    placed = (trace / size) * moved @ rotation
    return (placed + centre).astype(np.float32), float(trace**2 / (size * total))
