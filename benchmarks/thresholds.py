"""Do the intervals of thresholds hold the truth? Coverage on synthetic embeddings.

Run: ``python -m benchmarks.thresholds`` (a few minutes). It writes ``results/thresholds.md``.

Classes are drawn from one population: a center, and a spread around it. The truth is that
of 2,000 other classes. Every trial draws new classes of unequal size and asks whether the
95% intervals hold the truth. Beside them stand the intervals of a binomial share that treats pairs
as independent, as is usual.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from scipy.stats import beta

from retrieval.evaluation.thresholds import EER, Thresholds, thresholds

OUT = Path(__file__).parent / "results" / "thresholds.md"
DIMENSION = 16
CLASSES = (10, 20, 40, 100)
LEVELS = (1e-1, 1e-2, 1e-3)
POPULATION = 2000
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


def binomial(share: float, n: int) -> tuple[float, float]:
    """Return the Clopper-Pearson interval of n independent pairs."""
    x = share * n
    low = beta.ppf(0.025, x, n - x + 1) if x else 0.0
    return float(low), float(beta.ppf(0.975, x + 1, n - x) if x < n else 1.0)


def main() -> None:
    """Run the trials and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--classes", type=int, nargs="*", default=CLASSES)
    parser.add_argument("--protocols", nargs="*", default=("loo", "gallery"))
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    lines = [
        "# Do the intervals of thresholds hold the truth?",
        "",
        f"`python -m benchmarks.thresholds --trials {options.trials}`. Percent of 95% intervals "
        f"that hold the truth, over {options.trials} trials; behind it that of a binomial "
        "interval over pairs, which treats them as independent. Classes have 4 to 12 items. A "
        "dash: fewer than a tenth of the trials had enough false matches or classes. The share of "
        "trials with an interval follows where it is below 100%.",
        "",
    ]
    for roles in (name == "gallery" for name in options.protocols):
        truth = thresholds(
            *embeddings_of(POPULATION, np.random.default_rng(1), roles),
            levels=LEVELS,
            n_bootstrap=0,
        )
        title = "Query -> gallery, half of each class" if roles else "Leave-one-out"
        lines += [f"## {title}", ""]
        head = ["EER", *(f"FNMR at FMR {level:g}" for level in LEVELS)]
        head += ["FMR at a threshold", "FNMR at a threshold"]
        lines += [f"| classes | {' | '.join(head)} |", "|---|" + "---|" * len(head)]
        for n in options.classes:
            begun = time.time()
            found = coverage(n, options.trials, truth, roles=roles)
            cells = []
            for held, naive in found.values():
                if len(held) < options.trials / 10:
                    cells.append("-")
                    continue
                share = f" ({100 * len(held) / options.trials:.0f}% of trials)"
                some = share if len(held) < options.trials else ""
                cells.append(f"{100 * np.mean(held):.1f} / {100 * np.mean(naive):.0f}{some}")
            lines.append(f"| {n} | {' | '.join(cells)} |")
            print(lines[-1], f"{time.time() - begun:.0f} s", flush=True)
        lines.append("")
    options.out.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
