"""Seeding of k-means on the neighbor graph and exact seeding, on inputs chosen to break the former.

    python benchmarks/seeding.py --output benchmarks/results/seeding.md

Prints for every input the mean NMI and inertia over seeds after Lloyd's algorithm, started from
greedy k-means++ on the graph, exact greedy k-means++ (scikit-learn's) and random points; and which
of the first two the evaluation would use at the size of Stanford Online Products, with as many
points per cluster. Times are those of seeding and Lloyd's algorithm.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np

from retrieval.evaluation import kmeans as seeding
from retrieval.evaluation.clustering import clustering_metrics, kmeans
from retrieval.evaluation.kmeans import graph_seeds, lloyd, make_graph, passes_here
from retrieval.evaluation.protocol import sides
from retrieval.evaluation.search.search import search
from retrieval.evaluation.search.threads import worker_pool

N, D = 6000, 64


def classes(sizes, noise, copies=1, seed=0):
    """Return unit rows in Gaussian classes of the given sizes, each repeated, and their codes."""
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(len(sizes)), sizes)
    x = rng.standard_normal((len(sizes), D))[codes] + noise * rng.standard_normal((len(codes), D))
    return unit(np.repeat(x, copies, axis=0)), np.repeat(codes, copies)


def unit(x):
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def inputs():
    """Return the inputs by name: points and class codes."""
    rng = np.random.default_rng(1)
    small, codes = classes(np.full(1200, 5), 1.2)
    half = small.copy()
    half[:3000] = half[0]
    few = small[rng.integers(0, 600, N)]
    return {
        "5 per class, noise 0.5": classes(np.full(1200, 5), 0.5),
        "5 per class, noise 1.2 (as SOP)": (small, codes),
        "5 per class, noise 2 (overlapping)": classes(np.full(1200, 5), 2),
        "no structure at all": (unit(rng.standard_normal((N, D))), codes),
        "20 per class": classes(np.full(300, 20), 1.2),
        "one class of 3,000, 600 of 5": classes(np.r_[3000, np.full(600, 5)], 1.2),
        "one class of 3,000, 600 of 5, noise 0.3": classes(np.r_[3000, np.full(600, 5)], 0.3),
        "every point 6 times, 5 per class": classes(np.full(200, 5), 1.2, 6),
        "half of the points are one point": (half, codes),
        "1,200 clusters, 600 distinct points": (few, codes),
        "60 per class, 100 classes (as CUB)": classes(np.full(100, 60), 1.2),
        "200 per class": classes(np.full(30, 200), 1.2),
        "every point 40 times, 5 per class": classes(np.full(30, 5), 1.2, 40),
        "50 per class, 400 classes": classes(np.full(400, 50), 1.2),
        "50 per class, 400 classes, noise 2": classes(np.full(400, 50), 2),
        "100 per class, 200 classes": classes(np.full(200, 100), 1.2),
        "200 per class, 100 classes": classes(np.full(100, 200), 1.2),
        "classes of all sizes, 400": classes(3 + 3000 // np.arange(1, 401), 1.2),
        "500 per class, 100 classes": classes(np.full(100, 500), 1.2),
        "1,000 per class, 50 classes, noise 0.4": classes(np.full(50, 1000), 0.4),
    }


def run(x, codes, seeds, pool):
    """Return the mean NMI, inertia and seconds of each start, and the deviation of its NMI."""
    k = int(codes.max()) + 1
    ids = search(x, codes, sides(len(x), None), k=seeding.LISTED, pool=pool).ids
    graph = make_graph(x, ids, k, pool, is_nearest=True)
    found = {"tells apart": graph.tells_apart(k)}
    for method in ("graph", "exact", "random"):
        values = []
        for seed in range(seeds):
            start = time.perf_counter()
            if method == "graph":
                graph = make_graph(x, ids, k, pool, is_nearest=True)
                chosen = graph_seeds(x, graph, k, seed, pool)
                clusters, inertia, _ = lloyd(x, x[chosen], passes_here(x, pool))
            else:
                kind = "random" if method == "random" else "greedy k-means++"
                result = kmeans(x, k, kind, seed, pool=pool)
                clusters, inertia = result.clusters, result.inertia
            spent = time.perf_counter() - start
            values.append((clustering_metrics(codes, clusters)["nmi"], inertia, spent))
        found[method] = np.mean(values, axis=0)
        found[method + " sd"] = np.std(values, axis=0)[0]
    return found


def main():
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    head = (
        "input", "points", "graph", "exact", "random", "inertia graph / exact",
        "time graph / exact", "engine uses",
    )  # fmt: skip
    lines = [
        f"### NMI by k-means start, {options.seeds} seeds, {D}-d",
        "",
        "| " + " | ".join(head) + " |",
        "|" + " --- |" * len(head),
    ]
    with worker_pool() as pool:
        for name, (x, codes) in inputs().items():
            found = run(x, codes, options.seeds, pool)
            cells = [
                f"{found[m][0]:.4f} ± {found[m + ' sd']:.4f}" for m in ("graph", "exact", "random")
            ]
            a, b = found["graph"][1], found["exact"][1]
            ratio = f"{a / b:.4f}" if b > 1e-3 else "both 0"
            faster = f"{found['graph'][2] / found['exact'][2]:.2f}"
            each = len(x) / (codes.max() + 1)
            suits = seeding.graph_suits(60_502, 128, round(60_502 / each), 64)
            used = "graph" if suits and found["tells apart"] else "exact"
            line = [name, f"{len(x):,}", *cells, ratio, faster, used]
            lines.append("| " + " | ".join(line) + " |")
            print(lines[-1], flush=True)
    text = "\n".join(lines) + "\n"
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text)


if __name__ == "__main__":
    main()
