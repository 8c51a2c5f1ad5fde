"""Coverage of every interval and family-wise error of every verdict, on runs of known truth.

    python benchmarks/verdicts.py            # some minutes on two idle cores; writes the table
    python benchmarks/verdicts.py --worlds 50 --out /tmp/statistics.md

A world draws a test set from an infinite population of classes: how hard a class is, how a run (a
loss) and each of its training seeds do on it, and correlated outcomes of single queries. So the
true mean of every run over all classes and seeds is known, and intervals and verdicts are counted
right or wrong. (The file is not called ``statistics.py``, which Python's own module is.)
"""

import argparse
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

import numpy as np
from scipy import special

from retrieval.evaluation import evaluate, statistics
from retrieval.evaluation.bootstrap import ClassScores, level_intervals
from retrieval.evaluation.families import BEST, WORSE, Contrasts
from retrieval.evaluation.statistics import LEAST_CLASSES

OUT = Path(__file__).parent / "results" / "statistics.md"
SIZES = ("equal", "lognormal", "pareto")
QUERIES = 20  # per class, on average


@dataclass(frozen=True)
class Case:
    """A population to draw test sets from.

    Attributes:
        classes: Number of classes of a test set.
        sizes: Distribution of the numbers of queries of a class.
        base: Recall@1 of a run without an effect, of the median class.
        effects: Effect of every run, in logits; its length is the number of runs.
        seeds: Training seeds of every run.
        class_spread: Standard deviation of the classes' difficulty, in logits, common to all runs.
        run_spread: Standard deviation of what a run does on a class, in logits.
        seed_spread: Standard deviation of what a seed adds on all classes, in logits.
        seed_class_spread: Standard deviation of what a seed adds on single classes.
        correlation: Correlation of the outcomes of a query between runs and seeds.
    """

    classes: int = 40
    sizes: str = "lognormal"
    base: float = 0.6
    effects: tuple[float, ...] = (0.0, 0.0)
    seeds: int = 1
    class_spread: float = 1.0
    run_spread: float = 0.5
    seed_spread: float = 0.15
    seed_class_spread: float = 0.2
    correlation: float = 0.6

    @property
    def truth(self) -> np.ndarray:
        """True means of the runs, over all classes, seeds and queries.

        One seed is judged as it is, conditional on the training run: there its own effect is none.
        """
        x, weight = np.polynomial.hermite_e.hermegauss(80)
        parts = [self.class_spread, self.run_spread]
        parts += [self.seed_spread, self.seed_class_spread] if self.seeds > 1 else []
        logits = special.logit(self.base) + np.linalg.norm(parts) * x
        return np.array(
            [(weight * special.expit(logits + e)).sum() / weight.sum() for e in self.effects]
        )


def class_sizes(rng: np.random.Generator, case: Case) -> np.ndarray:
    c = case.classes
    if case.sizes == "equal":
        return np.full(c, QUERIES)
    if case.sizes == "lognormal":
        drawn = rng.lognormal(np.log(QUERIES) - 0.5 * 0.8**2, 0.8, c)
    else:
        drawn = np.minimum(QUERIES * 0.4 * (rng.pareto(1.5, c) + 1), 40 * QUERIES)
    return np.maximum(1, np.round(drawn)).astype(int)


def draw_world(rng: np.random.Generator, case: Case) -> ClassScores:
    """Draw the scores of all runs on one test set."""
    size, k, s = class_sizes(rng, case), len(case.effects), case.seeds
    classes = np.repeat(np.arange(case.classes), size)
    logits = special.logit(case.base) + np.array(case.effects)[:, None]  # (k, 1)
    logits = logits + case.class_spread * rng.standard_normal(case.classes)
    logits = logits + case.run_spread * rng.standard_normal((k, case.classes))
    logits = np.repeat(logits[:, None], s, axis=1)  # (k, s, c)
    if s > 1:
        logits = logits + case.seed_spread * rng.standard_normal((k, s, 1))
        logits = logits + case.seed_class_spread * rng.standard_normal((k, s, case.classes))
    rates = special.expit(logits)[..., classes]
    common = np.sqrt(case.correlation) * rng.standard_normal(len(classes))
    own = np.sqrt(1 - case.correlation) * rng.standard_normal(rates.shape)
    hits = (special.ndtr(common + own) < rates).astype(float)
    return ClassScores.of(list(hits), classes)


@dataclass
class Counts:
    """Numbers of worlds, and of those in which something held.

    Attributes:
        worlds: Worlds with enough classes for claims.
        effective: Sum of their effective numbers of classes.
        level: The interval of the first run holds its true mean.
        difference: That of the first two runs alone holds their true difference.
        pairs: The intervals of all pairs hold theirs, all at once; so for ``baseline`` and for
            ``leads``, those of the comparisons with the best.
        pairs_wrong: Some pair is called significant that is equal, or the other way round; so for
            ``baseline_wrong``.
        best_wrong: A truly best run is excluded, or another one (or one of several) is called the
            best.
        best_found: The one best run is called the best.
    """

    worlds: int = 0
    effective: float = 0.0
    level: int = 0
    difference: int = 0
    pairs: int = 0
    baseline: int = 0
    leads: int = 0
    pairs_wrong: int = 0
    baseline_wrong: int = 0
    best_wrong: int = 0
    best_found: int = 0


def judge(scores: ClassScores, truth: np.ndarray, n_samples: int, seed: int) -> Counts:
    """Count what the intervals and verdicts of one world got right."""
    k, slack = len(truth), 1e-12
    low, high = level_intervals(scores, n_samples=1000, seed=seed)
    contrasts = Contrasts(scores, n_samples, seed)
    found = Counts(1, scores.effective, level=bool(low[0] - slack <= truth[0] <= high[0] + slack))
    one = contrasts.members([(0, 1)])
    found.difference = covers(one, truth[[0]] - truth[1])
    pairs, members = contrasts.all_pairs(range(k))
    true = np.array([truth[a] - truth[b] for a, b in pairs])
    found.pairs, found.pairs_wrong = covers(members, true), wrong(members, true)
    pairs, members = contrasts.with_baseline(k - 1)
    true = np.array([truth[a] - truth[b] for a, b in pairs])
    found.baseline, found.baseline_wrong = covers(members, true), wrong(members, true)
    leads = contrasts.with_best()
    order = np.sort(truth)
    best = truth >= order[-1] - slack
    lead = truth - np.where(truth == order[-1], order[-2], order[-1])
    found.leads = int(((leads.low <= lead + slack) & (lead <= leads.high + slack)).all())
    excluded = any(v == WORSE for v, b in zip(leads.verdict, best, strict=True) if b)
    called = [v == BEST for v in leads.verdict]
    alone = best.sum() == 1
    found.best_wrong = int(
        excluded
        or any(said and not (true and alone) for said, true in zip(called, best, strict=True))
    )
    found.best_found = int(any(called) and alone)
    return found


def covers(members, truth: np.ndarray) -> int:
    return int(((members.low <= truth + 1e-12) & (truth <= members.high + 1e-12)).all())


def wrong(members, truth: np.ndarray) -> int:
    """Tell whether a difference is called significant that is none, or in the wrong direction."""
    said = np.where(members.significant, np.sign(members.difference), 0)
    return int((said * np.sign(np.where(np.abs(truth) < 1e-12, 0, truth)) < said**2).any())


def simulate(
    case: Case, worlds: int, n_samples: int = 1000, seed: int = 0
) -> tuple[Counts, Counts]:
    """Judge the worlds of one case, also those in which the workbench claims nothing.

    Args:
        case: The population.
        worlds: Number of test sets to draw.
        n_samples: Number of resamples of the differences. Defaults to 1000.
        seed: Seed of the worlds. Defaults to 0.

    Returns:
        Counts of all worlds, and of those with enough effective classes for claims.
    """
    rng, truth, every, claimed = np.random.default_rng(seed), case.truth, Counts(), Counts()
    for number in range(worlds):
        scores = draw_world(rng, case)
        with mock.patch.object(statistics, "LEAST_CLASSES", 0):
            one = judge(scores, truth, n_samples, number)
        for total in (every, claimed) if scores.effective >= LEAST_CLASSES else (every,):
            for name, value in vars(one).items():
                setattr(total, name, getattr(total, name) + value)
    return every, claimed


def nmi_coverage(classes: int, worlds: int, starts: int = 3, seed: int = 0) -> tuple[int, int]:
    """Count the worlds in which the interval of NMI holds the mean NMI of such test sets.

    Gaussian classes of unequal size are clustered from several starts of k-means, as an evaluation
    does. NMI depends on the number of classes, so the truth is the mean over all worlds.

    Returns:
        Number of worlds, and of those in which the interval holds the mean.
    """
    found = []
    for number in range(worlds):
        rng = np.random.default_rng([seed, number])
        size = class_sizes(rng, Case(classes=classes))
        labels = np.repeat(np.arange(classes), np.maximum(2, size))
        width = rng.lognormal(-0.3, 0.4, classes)[labels][:, None]
        x = rng.standard_normal((classes, 8))[labels] + width * rng.standard_normal(
            (len(labels), 8)
        )
        result = evaluate(x.astype(np.float32), labels, n_init=starts, seed=number)
        found.append((result.metrics["nmi"], *result.intervals.get("nmi", (np.nan, np.nan))))
    value, low, high = np.array(found).T
    claimed = np.isfinite(low)
    return int(claimed.sum()), int(((low <= value.mean()) & (value.mean() <= high))[claimed].sum())


def effects(kind: str, runs: int) -> tuple[float, ...]:
    """Return the effects of a scenario: all equal, one best, or three tied best."""
    first = {"null": 0, "one best": 1, "three tied": 3}[kind]
    return (0.5,) * first + (0.0,) * (runs - first)


def cases() -> Iterator[tuple[str, str, Case]]:
    """Yield table, label and population of every row."""
    for classes in (5, 8, 10, 12, 15, 20, 40, 100, 500):
        for sizes in SIZES:
            for base in (0.6, 0.95):
                yield "single", "", Case(classes, sizes, base)
    for runs in (2, 7, 30):
        for classes in (12, 20, 40, 100):
            for kind in ("null", "one best", "three tied"):
                if runs > 2 or kind != "three tied":
                    yield "families", kind, Case(classes, "lognormal", 0.6, effects(kind, runs))
    for classes in (20, 40, 200):
        for seeds in (2, 3, 5, 10):
            for spreads, label in (((0.15, 0.2), "moderate"), ((0.4, 0.1), "large")):
                case = Case(classes, "lognormal", 0.6, seeds=seeds)
                yield (
                    "seeds",
                    label,
                    replace(case, seed_spread=spreads[0], seed_class_spread=spreads[1]),
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", type=int, default=400)
    parser.add_argument("--nmi-worlds", type=int, default=100)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    todo = list(cases())
    worlds = [options.worlds // (4 if len(c.effects) == 30 else 1) for _, _, c in todo]
    with ProcessPoolExecutor(options.processes) as pool:
        nmi = {c: pool.submit(nmi_coverage, c, options.nmi_worlds) for c in (12, 20, 40)}
        populations = [case for _, _, case in todo]
        counts = list(pool.map(simulate, populations, worlds, [1000] * len(todo), range(len(todo))))
        starts = {c: future.result() for c, future in nmi.items()}
    options.out.write_text(markdown(todo, counts, starts, options))


def percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}" if whole else "–"


def markdown(todo, counts, nmi, options) -> str:
    """Return the tables."""
    noise = 196 * (0.95 * 0.05 / options.worlds) ** 0.5
    facts = {"low": 95 - noise, "high": 95 + noise, "few": max(0, 5 - noise), "many": 5 + noise}
    sizes = {"worlds": options.worlds, "nmi": options.nmi_worlds, "least": LEAST_CLASSES}
    lines = [HEAD.format(**sizes, **facts)]
    lines += ["", "## One run, and one difference", "", SINGLE, ""]
    lines += table(
        "classes",
        "sizes",
        "R@1 of the median class",
        "effective, mean",
        "level",
        "difference",
        "worlds with claims",
        "level there",
        "difference there",
    )
    for (kind, _, case), (every, some) in zip(todo, counts, strict=True):
        if kind != "single":
            continue
        lines.append(
            row(
                case.classes,
                case.sizes,
                case.base,
                f"{every.effective / every.worlds:.1f}",
                percent(every.level, every.worlds),
                percent(every.difference, every.worlds),
                some.worlds,
                percent(some.level, some.worlds),
                percent(some.difference, some.worlds),
            )
        )
    lines += ["", "## Families", "", FAMILIES, ""]
    lines += table(
        "runs",
        "classes",
        "truth",
        "worlds",
        "with the best: holds",
        "wrong",
        "found",
        "baseline: holds",
        "wrong",
        "all pairs: hold",
        "wrong",
    )
    for (kind, label, case), (_, c) in zip(todo, counts, strict=True):
        if kind == "families":
            n = c.worlds
            lines.append(
                row(
                    len(case.effects),
                    case.classes,
                    label,
                    n,
                    percent(c.leads, n),
                    percent(c.best_wrong, n),
                    percent(c.best_found, n) if label == "one best" else "",
                    percent(c.baseline, n),
                    percent(c.baseline_wrong, n),
                    percent(c.pairs, n),
                    percent(c.pairs_wrong, n),
                )
            )
    lines += ["", "## Seeds", "", SEEDS, ""]
    lines += table("classes", "seeds", "spread over seeds", "worlds", "level", "difference")
    for (kind, label, case), (_, c) in zip(todo, counts, strict=True):
        if kind == "seeds":
            lines.append(
                row(
                    case.classes,
                    case.seeds,
                    label,
                    c.worlds,
                    percent(c.level, c.worlds),
                    percent(c.difference, c.worlds),
                )
            )
    lines += ["", "## NMI, with its starts of k-means", "", NMI, ""]
    lines += table("classes", "worlds with claims", "holds")
    lines += [row(c, n, percent(held, n)) for c, (n, held) in nmi.items()]
    return "\n".join(lines) + "\n"


def row(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def table(*head: str) -> list[str]:
    return [row(*head), row(*["---"] * len(head))]


HEAD = (
    "# Coverage of intervals, family-wise error of verdicts\n\n"
    "`python benchmarks/verdicts.py --worlds {worlds} --nmi-worlds {nmi}`: "
    "{worlds} synthetic test sets per row (a quarter of them with "
    "30 runs, {nmi} for NMI), 1,000 resamples each; all figures in percent. Of {worlds} "
    "worlds, a true 95 shows as {low:.1f} to {high:.1f}, and a true 5 as {few:.1f} to "
    "{many:.1f}.\n\n"
    "Truth is known: classes are drawn from an infinite population, runs share the difficulty of a "
    "class and of a query (correlated runs), and every run and seed does better or worse on single "
    "classes. Sizes of classes are equal, lognormal (sigma 0.8) or Pareto (shape 1.5, at most 40 "
    "times the mean), 20 queries on average.\n\n"
    "**Claims are made from {least} effective classes on**, (sum of sizes)^2 / sum of squared "
    "sizes, which is the number of classes where all have the same size. Below, there is no "
    "interval and no verdict."
)
SINGLE = (
    "Nominal: 95. Columns 5 and 6 count every test set, also those on which the workbench claims "
    "nothing; the last two only those on which it does."
)
FAMILIES = (
    "*Holds*: all intervals of the family hold at once (nominal: 95 or more). *Wrong*: some "
    "verdict of the family is wrong (nominal: 5 or less); with the best, a truly best run is "
    "excluded, or a run is called the best that is not, or not alone. *Found*: the one best run is "
    "called the best. "
    "Where several runs are tied as the best, the intervals of the leads hold more often than "
    "nominal, as those of Hsu must."
)
SEEDS = (
    "Two runs, several training seeds each; the interval is for the mean over all seeds. *Large*: "
    "seeds scatter more than classes do."
)
NMI = (
    "Test sets of Gaussian classes, k-means from 3 starts. The truth is the mean NMI of test sets "
    "of as many classes."
)


if __name__ == "__main__":
    main()
