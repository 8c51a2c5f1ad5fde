"""What a folder of runs holds, and whether its files agree with each other."""

import gzip
import hashlib
import io
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import yaml
from sklearn.cluster import kmeans_plusplus

from retrieval.evaluation.protocol import Protocol
from retrieval.evaluation.search.distances import normalize
from retrieval.files import TEMPORARY
from retrieval.runs.checks import check_neighbors
from retrieval.runs.run import Run
from retrieval.runs.store import BrokenRun, list_runs

FETCHED = ".fetched.json.gz"  # the list of files that `retrieval fetch` keeps in a data set
VOLATILE = ("created", "seconds", "command")  # of provenance


def content(folder: Path) -> dict[str, str]:
    """Return a hash of every file of a run folder, without temporaries and times."""
    return {
        path.relative_to(folder).as_posix(): _hash(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(TEMPORARY)
    }


def _hash(path: Path) -> str:
    data = path.read_bytes()
    if path.name == "config.yaml":
        config = yaml.safe_load(data)
        for key in VOLATILE:
            config.get("provenance", {}).pop(key, None)
        data = yaml.safe_dump(config).encode()
    elif path.name == "notes.csv":
        notes = pd.read_csv(io.BytesIO(data), dtype=str, keep_default_na=False)
        data = notes.drop(columns="when").to_csv(index=False).encode()
    elif path.suffix == ".npz":  # a zip file holds the times of its members
        with np.load(path) as arrays:
            data = b"".join(name.encode() + arrays[name].tobytes() for name in sorted(arrays))
    elif path.suffix == ".gz":  # its header holds a time
        data = gzip.decompress(data)
    elif path.suffix == ".h5":
        data = _arrays_of_hdf5(path)
    return hashlib.sha256(data).hexdigest()


def _arrays_of_hdf5(path: Path) -> bytes:
    parts: list[bytes] = []

    def add(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            parts.append(name.encode() + np.asarray(item).tobytes())

    with h5py.File(path) as file:
        file.visititems(add)
    return b"".join(parts)


def problems_of_runs(root: Path) -> list[str]:
    """Return what is wrong with the runs of a folder; nothing if a reader may trust all of them."""
    found = []
    for run in list_runs(root):
        if isinstance(run, BrokenRun):
            found.append(f"{run.path.name}: {run.reason}")
            continue
        try:
            check_neighbors(run)
            found += [f"{run.path.name}: {line}" for line in _wrong_figures(run)]
        except Exception as error:
            found.append(f"{run.path.name}: {type(error).__name__}: {error}")
    return found


def _wrong_figures(run: Run) -> list[str]:
    """Compare the figures of a run with those that its embeddings give, by plain loops."""
    found = []
    embeddings, labels = np.array(run.embeddings), run.items["label"].to_numpy()
    roles = run.items["role"].to_numpy(dtype=object)
    for name, result in run.results.items():
        alone = name == "leave_one_out"
        queries = [i for i in range(len(labels)) if alone or roles[i] != "gallery"]
        gallery = [i for i in range(len(labels)) if alone or roles[i] != "query"]
        ranks = _ranks(embeddings, labels, queries, gallery, result.protocol.distance)
        for k in (1, 2, 4, 8):
            recall = np.mean([0 < rank <= k for rank in ranks if rank >= 0])
            written = result.metric(f"recall@{k}").value
            if not np.isclose(recall, written, atol=1e-9, equal_nan=True):
                found.append(f"{name}: recall@{k} is {written}, the embeddings give {recall}")
        written = result.metric("nmi").value
        if not np.isnan(written):
            nmi = _nmi(embeddings, labels, result.protocol)
            if not np.isclose(nmi, written, atol=1e-9):
                found.append(f"{name}: nmi is {written}, the embeddings give {nmi}")
        stored = run.neighbors(name).first_relevant_rank
        if list(stored) != [max(rank, 0) for rank in ranks]:
            found.append(f"{name}: other ranks in neighbours.npz than the embeddings give")
    return found


def _ranks(
    embeddings: np.ndarray, labels: np.ndarray, queries: list[int], gallery: list[int], name: str
) -> list[int]:
    """Return the rank of the first relevant item of each query; -1 if there is none."""
    points = (normalize(embeddings) if name == "cosine" else embeddings).astype(np.float64)
    ranks = []
    for query in queries:
        others = [i for i in gallery if i != query]
        if name == "cosine":
            far = [-points[query] @ points[i] for i in others]
        elif name == "cityblock":
            far = [np.abs(points[query] - points[i]).sum() for i in others]
        else:
            far = [((points[query] - points[i]) ** 2).sum() for i in others]
        order = [others[i] for i in np.argsort(far, kind="stable")]
        hits = [rank for rank, i in enumerate(order, 1) if labels[i] == labels[query]]
        ranks.append(hits[0] if hits else -1)
    return ranks


def _nmi(embeddings: np.ndarray, labels: np.ndarray, protocol: Protocol) -> float:
    """Return NMI with the arithmetic mean, of clusters found by plain loops."""
    points = normalize(embeddings) if protocol.distance == "cosine" else embeddings
    seeds = [
        protocol.seed,
        *np.random.SeedSequence(protocol.seed).generate_state(protocol.n_init)[1:],
    ]
    starts = [_clusters(points, len(set(labels)), int(seed)) for seed in seeds]
    clusters = min(starts, key=lambda clusters: _inertia(points, clusters))
    joint = pd.crosstab(labels, clusters).to_numpy() / len(labels)
    rows, columns = joint.sum(axis=1), joint.sum(axis=0)
    mutual = _entropy(rows) + _entropy(columns) - _entropy(joint.ravel())
    return mutual / ((_entropy(rows) + _entropy(columns)) / 2)


def _inertia(points: np.ndarray, clusters: np.ndarray) -> float:
    groups = (points[clusters == cluster].astype(np.float64) for cluster in set(clusters))
    return float(sum(((group - group.mean(axis=0)) ** 2).sum() for group in groups))


def _entropy(shares: np.ndarray) -> float:
    return float(-sum(share * np.log(share) for share in shares if share > 0))


def _clusters(points: np.ndarray, k: int, seed: int) -> np.ndarray:
    """Run k-means from scikit-learn's start until no point changes its cluster."""
    points = (points - points.mean(axis=0, dtype=np.float64)).astype(np.float32)
    centers = kmeans_plusplus(points, k, random_state=seed)[0].astype(np.float64)
    clusters = np.full(len(points), -1)
    while True:
        far = ((points[:, None].astype(np.float64) - centers) ** 2).sum(axis=2)
        if (clusters == far.argmin(axis=1)).all():
            return clusters
        clusters = far.argmin(axis=1)
        for cluster in set(clusters):
            centers[cluster] = points[clusters == cluster].mean(axis=0, dtype=np.float64)


def temporaries(box: Path) -> list[str]:
    """Return what a finished command must not have left: hidden files and folders.

    The cache is a hidden folder of its own only in ``data``; the sandbox of these tests calls it
    ``cache``.
    """
    return sorted(
        path.relative_to(box).as_posix()
        for path in box.rglob("*")
        if (path.name.startswith(".") and path.name != FETCHED)
        or path.name.endswith((".part", ".partial"))
    )
