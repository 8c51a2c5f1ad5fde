"""Do the intervals of thresholds hold the truth? Coverage on synthetic embeddings.

Run: ``python -m benchmarks.thresholds`` (a few minutes). It writes ``results/thresholds.md``.

Classes are drawn from one population: a center, and a spread around it. The truth is that
of 2,000 other classes. Every trial draws new classes of unequal size and asks whether the
95% intervals hold the truth. Beside them stand the intervals of a binomial share that treats pairs
as independent, as is usual.

FNIR depends on the size of the gallery, and the share of pairs of one class on the number of
classes. So the truth of open-set search and of calibration is that of many draws of this size.
"""

import argparse
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from scipy.stats import beta

from retrieval.evaluation.thresholds import EER, Thresholds, open_set, thresholds

OUT = Path(__file__).parent / "results" / "thresholds.md"
DIMENSION = 16
CLASSES = (10, 20, 40, 100)
LEVELS = (1e-1, 1e-2, 1e-3)
POPULATION = 2000
DRAWS = 200  # of the truth of open-set search and of calibration
FPIR = (1e-1,)
BINS = np.linspace(-1, 1, 4001)
AT = 0.6  # the fixed threshold


def embeddings_of(
    n_classes: int, rng: np.random.Generator, roles: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Draw embeddings (n, d), labels (n,), and roles if wanted."""
    size = rng.integers(4, 13, n_classes)
    labels = np.repeat(np.arange(n_classes), size)
    centers = rng.standard_normal((n_classes, DIMENSION))
    spread = np.exp(rng.normal(-0.3, 0.35, n_classes))
    noise = rng.standard_normal((len(labels), DIMENSION))
    found = centers[labels] + spread[labels, None] * noise
    given = np.where(np.arange(len(labels)) % 2, "query", "gallery") if roles else None
    return found.astype(np.float32), labels, given


def rates_at(found: Thresholds, at: float) -> dict[str, tuple[float, float, float, int]]:
    """Return value, interval and number of pairs of both rates near a threshold."""
    row = found.curve.iloc[int(np.abs(found.curve["threshold"] - at).argmin())]
    return {
        "threshold": row["threshold"],
        "FMR at a threshold": (row["fmr"], row["fmr_low"], row["fmr_high"], found.n_negative),
        "FNMR at a threshold": (row["fnmr"], row["fnmr_low"], row["fnmr_high"], found.n_positive),
    }


def coverage(n_classes: int, trials: int, truth: Thresholds, *, roles: bool) -> dict:
    """Count how often intervals hold the truth, and how wide they are."""
    names = [EER, *LEVELS, "FMR at a threshold", "FNMR at a threshold"]
    held: dict[object, list[bool]] = {name: [] for name in names}
    naive: dict[object, list[bool]] = {name: [] for name in names}
    real = truth.points.set_index("point")["fnmr"]
    curve = truth.curve.sort_values("threshold")
    for trial in range(trials):
        rng = np.random.default_rng([n_classes, trial, int(roles)])
        found = thresholds(*embeddings_of(n_classes, rng, roles), levels=LEVELS, threads=1)
        for row in found.points.itertuples():
            if np.isfinite(row.low):
                held[row.point].append(row.low <= real[row.point] <= row.high)
            low, high = binomial(row.fnmr, found.n_positive)
            naive[row.point].append(low <= real[row.point] <= high)
        at = rates_at(found, AT)
        for name, column in (("FMR at a threshold", "fmr"), ("FNMR at a threshold", "fnmr")):
            value, low, high, n = at[name]
            right = np.interp(at["threshold"], curve["threshold"], curve[column])
            if np.isfinite(low):
                held[name].append(low <= right <= high)
            low, high = binomial(value, n)
            naive[name].append(low <= right <= high)
    return {name: (held[name], naive[name]) for name in names}


def strangers_of(
    n_classes: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw an open set: half of the classes are not in the gallery."""
    found, labels, roles = embeddings_of(2 * n_classes, rng, roles=True)
    return found, labels, np.where(labels < n_classes, roles, "query")


def best_of(
    found: np.ndarray, labels: np.ndarray, roles: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the best similarity of every query, whether it has a positive, and its class."""
    unit = found / np.linalg.norm(found, axis=1, keepdims=True)
    query, gallery = roles == "query", roles == "gallery"
    best = (unit[query] @ unit[gallery].T).max(axis=1)
    return best, np.isin(labels[query], labels[gallery]), labels[query]


def open_set_coverage(n_classes: int, trials: int) -> tuple[list[bool], list[bool]]:
    """Count how often the interval of FNIR at an FPIR of 10% holds the truth."""
    best, mated = [], []
    for draw in range(DRAWS):
        one = best_of(*strangers_of(n_classes, np.random.default_rng([n_classes, draw, 7])))
        best.append(one[0])
        mated.append(one[1])
    of_all, is_mated = np.concatenate(best), np.concatenate(mated)
    truth = (of_all[is_mated] <= np.quantile(of_all[~is_mated], 1 - FPIR[0])).mean()
    held, naive = [], []
    for trial in range(trials):
        drawn = best_of(*strangers_of(n_classes, np.random.default_rng([n_classes, trial, 8])))
        row = open_set(*drawn, FPIR).iloc[0]
        if np.isfinite(row["low"]):
            held.append(row["low"] <= truth <= row["high"])
        low, high = binomial(row["fnir"], int(drawn[1].sum()))
        naive.append(low <= truth <= high)
    return held, naive


def calibration_coverage(n_classes: int, trials: int) -> tuple[list[bool], list[bool], float]:
    """Count how often the intervals of the reliability plot hold the truth.

    Also returns the mean distance, in points, of the calibrated probability and the true one.
    """
    pairs = np.zeros((2, len(BINS) - 1))
    for draw in range(DRAWS):
        # The plot is that of one half of the classes.
        rng = np.random.default_rng([n_classes, draw, 9])
        found, labels, _ = embeddings_of(n_classes // 2, rng, roles=False)
        unit = found / np.linalg.norm(found, axis=1, keepdims=True)
        a, b = np.triu_indices(len(labels), 1)
        similarity = (unit @ unit.T)[a, b]
        for at, of in enumerate((labels[a] != labels[b], labels[a] == labels[b])):
            pairs[at] += np.histogram(similarity[of], BINS)[0]
    center = (BINS[1:] + BINS[:-1]) / 2
    held: list[bool] = []
    naive: list[bool] = []
    apart: list[float] = []
    for trial in range(trials):
        rng = np.random.default_rng([n_classes, trial, 10])
        found = thresholds(*embeddings_of(n_classes, rng, roles=False), levels=LEVELS, threads=1)
        probability = found.probability(center)
        for row in found.reliability.itertuples():
            inside = (probability >= row.least - 1e-12) & (probability <= row.most + 1e-12)
            other, same = pairs[:, inside].sum(axis=1)
            if not np.isfinite(row.low) or other + same == 0:
                continue
            right = same / (other + same)
            apart.append(abs(row.predicted - right))
            held.append(row.low <= right <= row.high)
            low, high = binomial(row.observed, int(row.pairs))
            naive.append(low <= right <= high)
    return held, naive, 100 * float(np.mean(apart)) if apart else np.nan


def binomial(share: float, n: int) -> tuple[float, float]:
    """Return the Clopper-Pearson interval of n independent pairs."""
    x = round(share * n)
    low = beta.ppf(0.025, x, n - x + 1) if x else 0.0
    return float(low), float(beta.ppf(0.975, x + 1, n - x) if x < n else 1.0)


def cell(held: list[bool], naive: list[bool], trials: int | None) -> str:
    """Write a coverage, that of binomial intervals, and the share of trials with an interval."""
    if not held or (trials and len(held) < trials / 10):
        return "-"
    some = ""
    if trials and len(held) < trials:
        some = f" ({100 * len(held) / trials:.0f}% of trials)"
    return f"{100 * np.mean(held):.1f} / {100 * np.mean(naive):.0f}{some}"


def pair_rates(trials: int, classes: list[int], *, roles: bool) -> Iterator[str]:
    """Yield the table of one protocol."""
    truth = thresholds(
        *embeddings_of(POPULATION, np.random.default_rng(1), roles), levels=LEVELS, n_bootstrap=0
    )
    head = ["EER", *(f"FNMR at FMR {level:g}" for level in LEVELS)]
    head += ["FMR at a threshold", "FNMR at a threshold"]
    yield f"| classes | {' | '.join(head)} |"
    yield "|---|" + "---|" * len(head)
    for n in classes:
        found = coverage(n, trials, truth, roles=roles)
        yield f"| {n} | {' | '.join(cell(*each, trials) for each in found.values())} |"


def open_set_rates(trials: int, classes: list[int]) -> Iterator[str]:
    """Yield the table of open-set search."""
    yield "| classes in the gallery, and as many not in it | FNIR at FPIR 10% |"
    yield "|---|---|"
    for n in classes:
        yield f"| {n} | {cell(*open_set_coverage(n, trials), trials)} |"


def calibration_rates(trials: int, classes: list[int]) -> Iterator[str]:
    """Yield the table of calibration."""
    yield "| classes | intervals of the groups | calibrated to true probability, mean distance |"
    yield "|---|---|---|"
    for n in classes:
        held, naive, apart = calibration_coverage(n, trials)
        far = f"{apart:.1f} points" if np.isfinite(apart) else "-"
        yield f"| {n} | {cell(held, naive, None)} | {far} |"


PARTS = {
    "loo": ("Leave-one-out", partial(pair_rates, roles=False)),
    "gallery": ("Query -> gallery, half of each class", partial(pair_rates, roles=True)),
    "open-set": ("Open-set search", open_set_rates),
    "calibration": ("Calibration", calibration_rates),
}


def main() -> None:
    """Run the trials and write the table; parts that are not run stay as they are written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--classes", type=int, nargs="*", default=CLASSES)
    parser.add_argument("--parts", nargs="*", default=tuple(PARTS), choices=PARTS)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    before = options.out.read_text(encoding="utf-8") if options.out.exists() else ""
    written = dict(part.split("\n", 1) for part in before.split("\n## ")[1:])
    ends = 95 - 196 * np.sqrt(0.95 * 0.05 / options.trials), 100
    lines = [
        "# Do the intervals of thresholds hold the truth?",
        "",
        f"`python -m benchmarks.thresholds --trials {options.trials}`. Percent of 95% intervals "
        f"that hold the truth, over {options.trials} trials; behind it that of a binomial "
        "interval over pairs (or queries), which treats them as independent. A true 95 shows as "
        f"{ends[0]:.0f} to {min(ends[1], 190 - ends[0]):.0f}. Classes have 4 to 12 items. A dash: "
        "fewer than a tenth of the trials had enough false matches or classes for an interval. "
        "The share of trials with an interval follows where it is below 100%.",
        "",
    ]
    for name, (title, rows) in PARTS.items():
        if name in options.parts:
            begun = time.time()
            table = []
            for row in rows(options.trials, options.classes):
                table.append(row)
                print(row, f"{time.time() - begun:.0f} s", flush=True)
            written[title] = "\n" + "\n".join(table) + "\n"
        if title in written:
            lines += [f"## {title}", written[title].rstrip("\n"), ""]
    options.out.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
