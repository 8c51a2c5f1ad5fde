"""What the evaluation engine is measured against: bare products, its peers, plain float64.

Stages of ``benchmarks/evaluation_stages.py``, which runs them. Those of the peer run under the
interpreter that has it, so nothing of ours is imported here.
"""

import numpy as np
from timing import timed


def sgemm(x, codes, repeats, **_):
    """Products of 1,024 rows with all, BLAS threads: the floor of exact search."""
    out = np.empty((1024, len(x)), np.float32)

    def run():
        for start in range(0, len(x), 1024):
            block = x[start : start + 1024]
            np.matmul(block, x.T, out=out[: len(block)])

    run_small = out[:64, :1000]
    np.matmul(x[:64], x[:1000].T, out=run_small)
    return {"seconds": timed(run, repeats)[0]}


def faiss_knn(x, codes, repeats, k, **_):
    """Faiss' exact search."""
    import faiss

    index = faiss.IndexFlatIP(x.shape[1])
    index.add(x)
    return {"seconds": timed(lambda: index.search(x, k), repeats)[0]}


def peer_ranking(x, codes, repeats, **_):
    """pytorch-metric-learning: P@1, R-Precision, MAP@R."""
    import torch
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

    names = ("precision_at_1", "r_precision", "mean_average_precision_at_r")
    # its default ranks the whole gallery; this is its fastest setting that these metrics allow
    calculator = AccuracyCalculator(include=names, k="max_bin_count", device=torch.device("cpu"))
    points, labels = torch.from_numpy(x), torch.from_numpy(codes)
    calculator.get_accuracy(points[:600], labels[:600])  # warm, as our stages are
    seconds, value = timed(lambda: calculator.get_accuracy(points, labels), repeats)
    return {"seconds": seconds, "metrics": {k: float(v) for k, v in value.items()}}


def peer_nmi(x, codes, repeats, **_):
    """pytorch-metric-learning: NMI with faiss k-means."""
    import torch
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

    calculator = AccuracyCalculator(include=("NMI",), k=1, device=torch.device("cpu"))
    points, labels = torch.from_numpy(x), torch.from_numpy(codes)
    calculator.get_accuracy(points[:600], labels[:600])  # warm, as our stages are
    seconds, value = timed(lambda: calculator.get_accuracy(points, labels), repeats)
    return {"seconds": seconds, "nmi": [float(value["NMI"])]}


def sklearn_kmeans(x, codes, seed, method, **_):
    """scikit-learn's KMeans from one seed."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import normalized_mutual_info_score

    init = "random" if method == "random" else "k-means++"
    model = KMeans(int(codes.max()) + 1, init=init, n_init=1, random_state=seed)
    seconds, model = timed(lambda: model.fit(x))
    nmi = float(normalized_mutual_info_score(codes, model.labels_))
    return {"seconds": seconds, "nmi": [nmi], "inertia": [float(model.inertia_)]}


def reference(x, codes, **_):
    """P@1, R-Precision and MAP@R in float64, plainly: the judge where two engines differ."""
    unit = x.astype(np.float64)
    raw, norms = unit, (unit**2).sum(1)
    unit = raw / np.sqrt(norms)[:, None]
    n_positive = np.bincount(codes)[codes] - 1
    values = {}
    for distance, points in (("cosine", unit), ("euclidean", raw)):
        sums = np.zeros(3)
        for start in range(0, len(x), 512):
            rows = np.arange(start, min(start + 512, len(x)))
            nearness = points[rows] @ points.T
            if distance == "euclidean":
                nearness = 2 * nearness - norms
            nearness[np.arange(len(rows)), rows] = -np.inf
            sums += _plain_scores(nearness, codes, codes[rows], n_positive[rows])
        counted = (n_positive > 0).sum()
        values[distance] = dict(
            zip(("precision@1", "r_precision", "map@r"), sums / counted, strict=True)
        )
    return {"seconds": [0.0], "metrics": values}


def _plain_scores(nearness, codes, own, n_positive):
    """Sums over queries of P@1, R-Precision and MAP@R."""
    k = n_positive.max()
    top = np.sort(np.argpartition(-nearness, k, axis=1)[:, :k], axis=1)
    order = np.argsort(-np.take_along_axis(nearness, top, axis=1), axis=1, kind="stable")
    hits = codes[np.take_along_axis(top, order, axis=1)] == own[:, None]
    ranks = np.arange(1, k + 1)
    within = hits & (ranks <= n_positive[:, None])
    precision = np.cumsum(hits, axis=1) / ranks
    r = np.maximum(n_positive, 1)
    scores = hits[:, 0], within.sum(1) / r, (precision * within).sum(1) / r
    return np.array([score[n_positive > 0].sum() for score in scores])
