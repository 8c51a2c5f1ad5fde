"""Coverage of every interval and family-wise error of every verdict, on runs of known truth.

    python benchmarks/verdicts.py            # about an hour on two cores; writes the table
    python benchmarks/verdicts.py --worlds 50 --out /tmp/statistics.md

A world draws a test set from an infinite population of classes: how hard a class is, how a run (a
loss) and each of its training seeds do on it, and correlated outcomes of single queries. So the
true mean of every run over all classes and seeds is known, and intervals and verdicts are counted
right or wrong. (The file is not called ``statistics.py``, which Python's own module is.)
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import special

from retrieval.evaluation.bootstrap import ClassScores, level_intervals
from retrieval.evaluation.families import BEST, WORSE, Contrasts

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
    logits = (
        logits + case.class_spread * rng.standard_normal((1, 1, case.classes)).repeat(k, 0)[:, 0]
    )
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
    """Numbers of worlds in which something held; ``None`` where it was not asked for."""

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


def simulate(case: Case, worlds: int, n_samples: int = 1000, seed: int = 0) -> Counts:
    """Judge many worlds of one case."""
    rng, truth, total = np.random.default_rng(seed), case.truth, Counts()
    for number in range(worlds):
        one = judge(draw_world(rng, case), truth, n_samples, number)
        for name, value in vars(one).items():
            setattr(total, name, getattr(total, name) + value)
    return total
