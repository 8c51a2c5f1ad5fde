"""One measured stage of ``benchmarks/evaluation.py`` in a process of its own.

    python benchmarks/evaluation_stages.py STAGE DATA.npz KEY=VALUE ...

Prints one JSON object: ``seconds`` (a list, one per repeat), ``peak_gb`` (of the whole process,
libraries included) and what the stage computed. Stages of the peer run under the interpreter that
has it, so nothing of ours is imported before a stage needs it.
"""

import json
import resource
import sys
import time
import warnings

import numpy as np

warnings.simplefilter("ignore")
KS = (1, 10, 100, 1000)


def timed(run, repeats=1):
    """Run, then repeat while timing; returns seconds and the last value."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        value = run()
        seconds.append(time.perf_counter() - start)
    return seconds, value


def warm(x, codes, **options):
    """Compile (or load) the loops on a few items, so that times are those of a second run."""
    from retrieval.evaluation import evaluate

    evaluate(np.array(x[:600]), codes[:600], **options)


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


def neighbours(x, codes, repeats, k, **_):
    """Exact neighbours (and the rank of every positive, which comes in the same pass)."""
    from retrieval.evaluation.neighbours import search
    from retrieval.evaluation.protocol import sides
    from retrieval.evaluation.threads import worker_pool

    warm(x, codes, kmeans="none")
    with worker_pool() as pool:
        seconds, _ = timed(lambda: search(x, codes, sides(len(x), None), k=k, pool=pool), repeats)
    return {"seconds": seconds}


def faiss_knn(x, codes, repeats, k, **_):
    """Faiss' exact search."""
    import faiss

    index = faiss.IndexFlatIP(x.shape[1])
    index.add(x)
    return {"seconds": timed(lambda: index.search(x, k), repeats)[0]}


def ranking(x, codes, repeats, **_):
    """Every ranking metric, neighbours and first hits; no clustering, no intervals."""
    from retrieval.evaluation import evaluate

    options = {"ks": KS, "kmeans": "none", "n_bootstrap": 0}
    warm(x, codes, **options)
    seconds, result = timed(lambda: evaluate(x, codes, **options), repeats)
    return {"seconds": seconds, "metrics": result.metrics}


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


def peer_nmi(x, codes, repeats, **_):
    """pytorch-metric-learning: NMI with faiss k-means."""
    import torch
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

    calculator = AccuracyCalculator(include=("NMI",), k=1, device=torch.device("cpu"))
    points, labels = torch.from_numpy(x), torch.from_numpy(codes)
    calculator.get_accuracy(points[:600], labels[:600])  # warm, as our stages are
    seconds, value = timed(lambda: calculator.get_accuracy(points, labels), repeats)
    return {"seconds": seconds, "nmi": [float(value["NMI"])]}


def clustering(x, codes, seeds, method, **_):
    """Our k-means for each seed, the neighbour graph being there (the search made it)."""
    from retrieval.evaluation.clustering import clustering_metrics, kmeans
    from retrieval.evaluation.neighbours import search
    from retrieval.evaluation.protocol import sides
    from retrieval.evaluation.threads import worker_pool

    warm(x, codes)
    k, seconds, nmi, inertia = int(codes.max()) + 1, [], [], []
    with worker_pool() as pool:
        kmeans(x[:3000], 600, ids=np.arange(96_000).reshape(3000, 32) % 3000, pool=pool)
        start = time.perf_counter()
        ids = search(x, codes, sides(len(x), None), k=32, pool=pool).ids
        graph = time.perf_counter() - start
        for seed in range(seeds):
            spent, found = timed(lambda s=seed: kmeans(x, k, method, s, ids=ids, pool=pool))
            seconds += spent
            nmi.append(clustering_metrics(codes, found.clusters)["nmi"])
            inertia.append(found.inertia)
    return {"seconds": seconds, "nmi": nmi, "inertia": inertia, "graph": graph}


def sklearn_kmeans(x, codes, seeds, method, **_):
    """scikit-learn's KMeans for each seed."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import normalized_mutual_info_score

    init = "random" if method == "random" else "k-means++"
    seconds, nmi, inertia = [], [], []
    for seed in range(seeds):
        model = KMeans(int(codes.max()) + 1, init=init, n_init=1, random_state=seed)
        spent, model = timed(lambda m=model: m.fit(x))
        seconds += spent
        nmi.append(float(normalized_mutual_info_score(codes, model.labels_)))
        inertia.append(float(model.inertia_))
    return {"seconds": seconds, "nmi": nmi, "inertia": inertia}


def whole(x, codes, repeats, folder, **_):
    """All that a run's evaluation does before the projection, arrays and figures written."""
    from pathlib import Path

    from retrieval.evaluation import evaluate

    warm(x, codes)

    def run():
        result = evaluate(x, codes, ks=KS)
        np.savez(
            Path(folder) / "neighbours.npz", ids=result.neighbours,
            similarities=result.similarities, first_hit=result.first_hit,
        )  # fmt: skip
        (Path(folder) / "metrics.json").write_text(json.dumps(result.to_dict()))
        return result

    seconds, result = timed(run, repeats)
    return {"seconds": seconds, "metrics": result.metrics, "line": str(result)}


def umap(x, codes, **_):
    """UMAP and PCA from the saved neighbours."""
    from retrieval.evaluation import evaluate
    from retrieval.projection import project

    result = evaluate(x, codes, kmeans="none", n_bootstrap=0)
    few = evaluate(x[:500], codes[:500], kmeans="none", n_bootstrap=0)
    project(x[:500], few.neighbours, few.similarities)
    seconds, _ = timed(lambda: project(x, result.neighbours, result.similarities))
    return {"seconds": seconds}


def million(x, codes, gallery, queries, **_):
    """Queries against a memory-mapped gallery on disk; x holds a few rows to compile on."""
    from retrieval.evaluation import evaluate

    warm(x, codes, kmeans="none")
    vectors = np.load(gallery, mmap_mode="r")
    labels = np.load(gallery.replace(".npy", "-labels.npy"))
    roles = np.full(len(vectors), "gallery")
    roles[np.linspace(0, len(vectors) - 1, queries).astype(int)] = "both"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    seconds, result = timed(
        lambda: evaluate(vectors, labels, roles, ks=KS, kmeans="none", n_bootstrap=0)
    )
    return {"seconds": seconds, "metrics": result.metrics, "before_gb": before}


def approximate(x, codes, index, effort, **_):
    """Faiss' approximate index: build, search, and what it found of the exact neighbours."""
    from retrieval.evaluation.approximate import evaluate_approximately

    warm(x, codes, kmeans="none")
    result = evaluate_approximately(x, codes, ks=KS[:3], index=index, effort=effort)
    return {
        "seconds": [result.seconds["build"] + result.seconds["search"]],
        "parts": result.seconds,
        "found": result.found,
        "metrics": result.metrics,
        "words": result.index,
    }


def main():
    stage, path, *pairs = sys.argv[1:]
    options = {}
    for pair in pairs:
        key, value = pair.split("=", 1)
        options[key] = int(value) if value.isdigit() else value
    with np.load(path) as data:
        x, codes = data["x"], data["codes"]
    result = globals()[stage](x, codes, **{"repeats": 1, "seeds": 1} | options)
    result["peak_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(json.dumps(result))


if __name__ == "__main__":
    main()
