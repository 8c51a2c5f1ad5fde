"""One measured stage of ``benchmarks/evaluation.py`` in a process of its own.

    python benchmarks/evaluation_stages.py STAGE DATA.npz KEY=VALUE ...

Prints one JSON object: ``seconds`` (a list, one per repeat), ``peak_gb`` (of the whole process,
libraries included) and what the stage computed. Here are the engine's own stages, and the choice
among all; what it is measured against is in ``evaluation_yardsticks.py``. Nothing of ours is
imported before a stage needs it, since stages of the peer run under the interpreter that has it.
"""

import json
import resource
import sys
import warnings

import numpy as np
from evaluation_yardsticks import (
    faiss_knn,
    peer_nmi,
    peer_ranking,
    reference,
    sgemm,
    sklearn_kmeans,
)
from timing import timed

warnings.simplefilter("ignore")
KS = (1, 10, 100, 1000)


def warm(x, codes, **options):
    """Compile (or load) the loops on a few items, so that times are those of a second run."""
    from retrieval.evaluation import evaluate

    evaluate(np.array(x[:600]), codes[:600], **options)


def neighbors(x, codes, repeats, k, **_):
    """Exact neighbors (and the rank of every positive, which comes in the same pass)."""
    from retrieval.evaluation.protocol import sides
    from retrieval.evaluation.search.search import search
    from retrieval.evaluation.search.threads import worker_pool

    warm(x, codes, kmeans="none")
    with worker_pool() as pool:
        seconds, _ = timed(lambda: search(x, codes, sides(len(x), None), k=k, pool=pool), repeats)
    return {"seconds": seconds}


def ranking(x, codes, repeats, **_):
    """Every ranking metric, neighbors and first relevant items; no clustering, no intervals."""
    from retrieval.evaluation import evaluate

    options = {"ks": KS, "kmeans": "none", "n_bootstrap": 0}
    warm(x, codes, **options)
    seconds, result = timed(lambda: evaluate(x, codes, **options), repeats)
    return {"seconds": seconds, "metrics": result.metrics}


def clustering(x, codes, seed, method, **_):
    """Our k-means from one seed, the neighbor graph being there (the search made it)."""
    from retrieval.evaluation.clustering import clustering_metrics, kmeans
    from retrieval.evaluation.protocol import sides
    from retrieval.evaluation.search.search import search
    from retrieval.evaluation.search.threads import worker_pool

    warm(x, codes)
    k = int(codes.max()) + 1
    with worker_pool() as pool:
        few, of = np.array(x[:3000]), codes[:3000]
        ids = search(few, of, sides(len(few), None), k=32, pool=pool).ids
        kmeans(few, int(of.max()) + 1, ids=ids, is_nearest=True, pool=pool)
        ids = search(x, codes, sides(len(x), None), k=32, pool=pool).ids
        seconds, found = timed(
            lambda: kmeans(x, k, method, seed, ids=ids, is_nearest=True, pool=pool)
        )
    nmi = clustering_metrics(codes, found.clusters)["nmi"]
    return {"seconds": seconds, "nmi": [nmi], "inertia": [found.inertia]}


def whole(x, codes, repeats, folder, **_):
    """All that a run's evaluation does before the projection, arrays and figures written."""
    from pathlib import Path

    from retrieval.evaluation import evaluate

    warm(x, codes)

    def run():
        result = evaluate(x, codes, ks=KS)
        np.savez(
            Path(folder) / "neighbours.npz", ids=result.neighbors,
            similarities=result.similarities, first_hit=result.first_relevant_rank,
        )  # fmt: skip
        (Path(folder) / "metrics.json").write_text(json.dumps(result.to_dict()))
        return result

    seconds, result = timed(run, repeats)
    return {"seconds": seconds, "metrics": result.metrics, "line": str(result)}


def umap(x, codes, **_):
    """UMAP and PCA from the saved neighbors."""
    from retrieval.evaluation import evaluate
    from retrieval.projection import project

    result = evaluate(x, codes, kmeans="none", n_bootstrap=0)
    few = evaluate(x[:500], codes[:500], kmeans="none", n_bootstrap=0)
    project(x[:500], few.neighbors, few.similarities)
    seconds, _ = timed(lambda: project(x, result.neighbors, result.similarities))
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
    """Faiss' approximate index: build, search, and what it found of the exact neighbors."""
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


STAGES = {
    stage.__name__: stage
    for stage in (
        *(neighbors, ranking, clustering, whole, umap, million, approximate),
        *(sgemm, faiss_knn, peer_ranking, peer_nmi, sklearn_kmeans, reference),
    )
}


def main():
    stage, path, *pairs = sys.argv[1:]
    options = {}
    for pair in pairs:
        key, value = pair.split("=", 1)
        options[key] = int(value) if value.isdigit() else value
    with np.load(path) as data:
        x, codes = data["x"], data["codes"]
    result = STAGES[stage](x, codes, **{"repeats": 1, "seed": 0} | options)
    result["peak_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(json.dumps(result))


if __name__ == "__main__":
    main()
