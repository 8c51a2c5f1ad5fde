"""The tables of ``benchmarks/evaluation.py``, from stages in processes of their own."""

import json
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np

STAGES = Path(__file__).with_name("evaluation_stages.py")
SOP = (60_502, 11_316)
METRICS = {
    "precision@1": "precision_at_1",
    "r_precision": "r_precision",
    "map@r": "mean_average_precision_at_r",
}


def make(folder, n, d, classes, seed=0):
    """Write the synthetic set; items of a class are neighbors, as in the real set's list."""
    path = Path(folder) / f"{n}x{d}.npz"
    if not path.exists():
        rng = np.random.default_rng(seed)
        codes = np.sort(np.concatenate([np.arange(classes), rng.integers(0, classes, n - classes)]))
        x = rng.standard_normal((classes, d), np.float32)[codes]
        x += np.float32(1.2) * rng.standard_normal((n, d), np.float32)
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        np.savez(path, x=x, codes=codes)
    return path


def stage(name, data, python=sys.executable, **options):
    """Run one stage in a process of its own."""
    arguments = [f"{key}={value}" for key, value in options.items()]
    print(f"  {name} {data.stem} {' '.join(arguments)}", file=sys.stderr, flush=True)
    command = [python, str(STAGES), name, str(data), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stderr[-2000:], file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def seconds(result):
    return statistics.median(result["seconds"])


def row(*cells):
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def table(title, head, rows):
    return ["", f"### {title}", "", row(*head), row(*["---"] * len(head)), *rows]


def cells(result, floor=None):
    """Time, ratio to the floor and peak memory of a stage."""
    if result is None:
        return ["failed", "", ""] if floor else ["failed", ""]
    ratio = [f"{seconds(result) / floor:.2f}"] if floor else []
    return [f"{seconds(result):.1f} s", *ratio, f"{result['peak_gb']:.2f} GB"]


def search_tables(data, peer, repeats):
    """Exact search and ranking metrics against the floor and the peer."""
    bare = stage("sgemm", data, repeats=repeats)
    floor = seconds(bare)
    ours = {k: stage("neighbors", data, repeats=repeats, k=k) for k in (1, 17, 64)}
    rank = stage("ranking", data, repeats=repeats)
    rows = [row("bare blocked sgemm", *cells(bare, floor))]
    rows.append(
        row("faiss, k = 17", *cells(stage("faiss_knn", data, repeats=repeats, k=17), floor))
    )
    for k, result in ours.items():
        rows.append(row(f"ours, k = {k}, and the rank of every positive", *cells(result, floor)))
    name = "ours: R@1/10/100/1000, R-Precision, MAP@R, mAP, MRR, geometry, 64 neighbors"
    rows.append(row(name, *cells(rank, floor)))
    lines = []
    if peer:
        other = stage("peer_ranking", data, peer, repeats=max(1, repeats // 2))
        name = "pytorch-metric-learning: P@1, R-Precision, MAP@R"
        rows.append(row(name, *cells(other, floor)))
        if other:
            apart = max(abs(rank["metrics"][a] - other["metrics"][b]) for a, b in METRICS.items())
            ratio = seconds(rank) / seconds(other)
            lines = ["", f"Ours / peer: {ratio:.2f} (bar 0.70). Largest difference: {apart:.1e}."]
            lines += ["", judged(data, rank["metrics"], other["metrics"])]
    head = ("what", "time", "of sgemm", "peak memory")
    return table(f"Exact search, {data.stem} (bar: 1.30 for small k)", head, rows) + lines


def judged(data, ours, theirs):
    """Say how far either engine is from float64, which decides near-ties rightly."""
    truth = stage("reference", data)["metrics"]
    far = max(abs(ours[name] - truth["cosine"][name]) for name in METRICS)
    peer = max(abs(theirs[other] - truth["euclidean"][name]) for name, other in METRICS.items())
    return (
        f"Against the same metrics computed plainly in float64: ours differs by at most {far:.1e}, "
        f"the peer by {peer:.1e} (it ranks float32 Euclidean distances, in which neighbors at "
        "nearly the same distance change places)."
    )


def clustering_table(data, peer, seeds, long):
    """NMI: time and value of every start."""
    ours = stage("clustering", data, seeds=seeds, method="greedy k-means++")
    runs = {
        "ours, greedy k-means++ (on the graph)": ours,
        "ours, random": stage("clustering", data, seeds=seeds, method="random"),
        "scikit-learn, random": stage("sklearn_kmeans", data, method="random"),
    }
    if peer:
        runs["pytorch-metric-learning (faiss, random)"] = stage("peer_nmi", data, peer)
    if long:
        runs["scikit-learn, default (greedy k-means++)"] = stage(
            "sklearn_kmeans", data, seeds=seeds, method="greedy k-means++"
        )
    rows = []
    for name, result in runs.items():
        if result is None:
            rows.append(row(name, "failed", "", "", ""))
            continue
        nmi = " ".join(f"{value:.4f}" for value in result["nmi"])
        inertia = f"{np.mean(result['inertia']):,.0f}" if "inertia" in result else ""
        rows.append(row(name, *cells(result), nmi, inertia))
    lines = ["", f"Ours uses the search's neighbor graph; making it alone: {ours['graph']:.1f} s."]
    known = runs.get("scikit-learn, default (greedy k-means++)")
    if known:
        ratio = seconds(known) / seconds(ours)
        difference = np.mean(ours["nmi"]) - np.mean(known["nmi"])
        lines[1] += f" scikit-learn's default takes {ratio:.1f}x as long (bar 12)"
        lines[1] += f"; NMI {difference:+.4f} (bar -0.0020)."
    head = ("k-means", "time", "peak memory", "NMI per seed", "mean inertia")
    return table(f"NMI, {data.stem}", head, rows) + lines


def whole_table(data, folder, repeats):
    result = stage("whole", data, folder=folder, repeats=repeats)
    rows = [row("everything, written", *cells(result))]
    title = f"Whole evaluation, {data.stem} (bar: 45 s, 3 GB)"
    lines = table(title, ("what", "time", "peak memory"), rows)
    return [*lines, "", f"> {result['line']}"]


def umap_table(data, n):
    rows = [row(n, *cells(stage("umap", data)))]
    return table("UMAP + PCA", ("items", "time", "peak memory"), rows)


def growth_table(folder, sizes=(7_500, 15_000, 30_000, 60_000, 120_000), d=128):
    rows = []
    for n in sizes:
        data = make(folder, n, d, round(n * SOP[1] / SOP[0]))
        result = stage("whole", data, folder=folder)
        data.unlink()
        per_pair = 1e9 * seconds(result) / n**2 if result else np.nan
        rows.append(row(f"{n:,}", *cells(result), f"{per_pair:.2f} ns"))
    head = ("items", "time", "peak memory", "time / items^2")
    return table(f"Whole evaluation as the set grows, {d}-d", head, rows)


def million_table(folder, warm, n=1_000_000, d=128, queries=10_000):
    """A gallery on disk; made chunk by chunk."""
    rng = np.random.default_rng(0)
    path = Path(folder) / "gallery.npy"
    codes = np.sort(rng.integers(0, n // 10, n))
    out = np.lib.format.open_memmap(path, "w+", np.float32, (n, d))
    centers = rng.standard_normal((n // 10, d), np.float32)
    for start in range(0, n, 100_000):
        part = codes[start : start + 100_000]
        noise = rng.standard_normal((len(part), d), np.float32)
        out[start : start + 100_000] = centers[part] + np.float32(1.2) * noise
    out.flush()
    del out, centers
    np.save(Path(folder) / "gallery-labels.npy", codes)
    result = stage("million", warm, gallery=path, queries=queries)
    size = path.stat().st_size / 1e9
    path.unlink()
    rows = [row(f"{n:,} x {d} ({size:.2f} GB on disk)", f"{queries:,}", *cells(result))]
    head = ("gallery", "queries", "time", "peak memory")
    return table("A gallery on disk, exact", head, rows)


def approximate_table(data):
    rows = []
    for index, effort in (("hnsw", 32), ("hnsw", 128), ("ivf", 16), ("ivf", 64)):
        result = stage("approximate", data, index=index, effort=effort)
        if result:
            figures = " ".join(f"{100 * v:.2f}" for v in result["metrics"].values())
            parts = [f"{result['parts'][k]:.1f} s" for k in ("build", "search")]
            rows.append(row(result["words"], *parts, f"{100 * result['found']:.2f}%", figures))
    head = ("index", "build", "search", "exact neighbors found", "R@1 R@10 R@100")
    return table(f"Approximate search (never the default), {data.stem}", head, rows)
