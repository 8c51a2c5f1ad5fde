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


def alternate(stages, rounds):
    """Run stages in turn, several rounds: what disturbs the machine then disturbs all of them.

    Args:
        stages: Name -> the arguments of :func:`stage`, (positional, keywords).
        rounds: Number of rounds.

    Returns:
        Name -> the last result of the stage, with the seconds of every round; None if it failed.
    """
    results = {}
    for number in range(rounds):
        for name, (positional, keywords) in stages.items():
            found = stage(*positional, **keywords)
            before = results.get(name)
            if number and before and found:
                found["seconds"] = before["seconds"] + found["seconds"]
                found["peak_gb"] = max(before["peak_gb"], found["peak_gb"])
            results[name] = found if number == 0 or before else None
    return results


def seconds(result):
    return statistics.median(result["seconds"])


def ratio(result, floor):
    """The median of the ratios of each round, and their range."""
    ratios = [a / b for a, b in zip(result["seconds"], floor["seconds"], strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def row(*cells):
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def table(title, head, rows):
    return ["", f"### {title}", "", row(*head), row(*["---"] * len(head)), *rows]


def cells(result, floor=None):
    """Time, ratio to the floor and peak memory of a stage."""
    if result is None:
        return ["failed", "", ""] if floor else ["failed", ""]
    of_floor = [ratio(result, floor)] if floor else []
    return [f"{seconds(result):.1f} s", *of_floor, f"{result['peak_gb']:.2f} GB"]


def search_tables(data, peer, rounds, folder):
    """Exact search and ranking metrics against the floor and the peer."""
    ours = "ours: R@1/10/100/1000, R-Precision, MAP@R, mAP, MRR, geometry, 64 neighbors"
    written = "ours, everything: NMI, intervals too, and written"
    theirs = "pytorch-metric-learning: P@1, R-Precision, MAP@R"
    stages = {"bare blocked sgemm": (("sgemm", data), {})}
    stages["faiss, k = 17"] = ("faiss_knn", data), {"k": 17}
    for k in (1, 17, 64):
        name = f"ours, k = {k}, and the rank of every positive"
        stages[name] = ("neighbors", data), {"k": k}
    stages[ours] = ("ranking", data), {}
    if peer:
        stages[theirs] = ("peer_ranking", data, peer), {}
    stages[written] = ("whole", data), {"folder": folder}
    results = alternate(stages, rounds)
    floor, rank = results["bare blocked sgemm"], results[ours]
    rows = [row(name, *cells(result, floor)) for name, result in results.items()]
    other, lines = results.get(theirs), []
    if other:
        apart = max(abs(rank["metrics"][a] - other["metrics"][b]) for a, b in METRICS.items())
        lines = ["", f"Ours / peer: {ratio(rank, other)}. Largest difference: {apart:.1e}."]
        lines += ["", judged(data, rank["metrics"], other["metrics"])]
    head = ("what", "median time", "of sgemm: median (range)", "peak memory")
    title = f"Exact search, {data.stem}, {rounds} alternating rounds (goals: 0.90, written 1.50)"
    return table(title, head, rows) + lines


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


def clustering_table(data, peer, rounds, long):
    """NMI: time and value of one start per round, each round with another seed."""
    greedy, known = (
        f"{name}, greedy k-means++{more}"
        for name, more in (("ours", " (on the graph)"), ("scikit-learn", " (its default)"))
    )
    results = {}
    for seed in range(rounds):
        stages = {greedy: (("clustering", data), {"method": "greedy k-means++", "seed": seed})}
        stages["ours, random"] = ("clustering", data), {"method": "random", "seed": seed}
        stages["scikit-learn, random"] = (
            ("sklearn_kmeans", data),
            {"method": "random", "seed": seed},
        )
        if peer:
            name = "pytorch-metric-learning (faiss, random)"
            stages[name] = ("peer_nmi", data, peer), {}
        if long:
            options = {"method": "greedy k-means++", "seed": seed}
            stages[known] = ("sklearn_kmeans", data), options
        for name, result in alternate(stages, 1).items():
            results.setdefault(name, []).append(result)
    rows, merged = [], {}
    for name, found in results.items():
        if None in found:
            rows.append(row(name, "failed", "", "", "", ""))
            continue
        one = {key: [v for each in found for v in each[key]] for key in ("seconds", "nmi")}
        one["peak_gb"] = max(each["peak_gb"] for each in found)
        merged[name] = one
        nmi = " ".join(f"{value:.4f}" for value in one["nmi"])
        inertia = [value for each in found for value in each.get("inertia", ())]
        mean = f"{np.mean(inertia):,.0f}" if inertia else ""
        time, peak = cells(one)
        of_ours = ratio(one, merged[greedy]) if greedy in merged else ""
        rows.append(row(name, time, of_ours, peak, nmi, mean))
    lines = []
    if greedy in merged and known in merged:
        difference = np.mean(merged[greedy]["nmi"]) - np.mean(merged[known]["nmi"])
        lines = ["", f"NMI of ours less that of scikit-learn's default: {difference:+.4f}."]
    head = ("k-means", "time of a start", "of ours", "peak memory", "NMI per seed", "mean inertia")
    title = f"NMI, {data.stem}, {rounds} alternating rounds (the search's graph is there)"
    return table(title, head, rows) + lines


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
