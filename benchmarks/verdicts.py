"""Coverage of every interval and family-wise error of every verdict, on runs of known truth.

    python benchmarks/verdicts.py            # a quarter of an hour on two cores; writes the table
    python benchmarks/verdicts.py --worlds 50 --embeddings 20 --out statistics.md

A world draws a test set from an infinite population of classes: how hard a class is, how a run (a
loss) and each of its training seeds do on it, and correlated outcomes of single queries. So the
true mean of every run over all classes and seeds is known, and intervals and verdicts are counted
right or wrong. (The file is not called ``statistics.py``, which Python's own module is.)
"""

import argparse
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from unittest import mock

import numpy as np
from scipy import special

from retrieval.evaluation import evaluate, statistics
from retrieval.evaluation.bootstrap import ClassScores, level_intervals
from retrieval.evaluation.families import BEST, WORSE, Contrasts, Members
from retrieval.evaluation.noninferiority import NO, YES, not_worse
from retrieval.evaluation.planning import plan
from retrieval.evaluation.statistics import LEAST_CLASSES, effective_classes

OUT = Path(__file__).parent / "results" / "statistics.md"
SIZES = ("equal", "lognormal", "pareto")
QUERIES = 20  # per class, on average
SLACK = 1e-12
MOST_SEEDS = 40  # more are not simulated


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
        metric: ``hits``, scores of 0 and 1 as those of Recall@1, or ``graded``, any score between
            them, as those of MAP@R.
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
    metric: str = "hits"

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


def draw_world(rng: np.random.Generator, case: Case, least: float = 0) -> ClassScores:
    """Draw the scores of all runs on one test set of at least some effective classes."""
    size, k, s = class_sizes(rng, case), len(case.effects), case.seeds
    while effective_classes(size) < least - 1e-9:
        size = class_sizes(rng, case)
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
    uniform = special.ndtr(common + own)
    if case.metric == "graded":  # the mean of u^a is 1 / (1 + a)
        return ClassScores.of(list(uniform ** (1 / rates - 1)), classes)
    return ClassScores.of(list((uniform < rates).astype(float)), classes)


@dataclass
class Counts:
    """Numbers of test sets, and of those in which something held.

    Attributes:
        worlds: Test sets.
        effective: Sum of their effective numbers of classes.
        level: The interval of the first run holds its true mean.
        difference: That of the first two runs alone holds their true difference.
        yes: The second run is called not worse by more than a margin, which it is worse by exactly.
        no: It is called worse by more than this margin.
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
    yes: int = 0
    no: int = 0
    pairs: int = 0
    baseline: int = 0
    leads: int = 0
    pairs_wrong: int = 0
    baseline_wrong: int = 0
    best_wrong: int = 0
    best_found: int = 0


def judge(scores: ClassScores, truth: np.ndarray, n_samples: int, seed: int) -> Counts:
    """Count what the intervals and verdicts of one test set got right."""
    found = Counts(1, scores.effective)
    low, high = level_intervals(scores.select([0]), n_samples=n_samples, seed=seed)
    found.level = int(low[0] - SLACK <= truth[0] <= high[0] + SLACK)
    k, contrasts = len(truth), Contrasts(scores, n_samples, seed)
    first = contrasts.members([(1, 0)], with_p=False)
    apart = truth[1] - truth[0]
    found.difference = covers(first, np.array([apart]))
    if apart < 0:
        said = not_worse(first.low[0], first.high[0], -apart)
        found.yes, found.no = int(said == YES), int(said == NO)
    pairs = [(a, b) for a in range(k) for b in range(a + 1, k)]
    members = contrasts.members(pairs, with_p=False) if k > 2 else first
    true = np.array([truth[a] - truth[b] for a, b in pairs]) if k > 2 else np.array([apart])
    found.pairs, found.pairs_wrong = covers(members, true), wrong(members, true)
    pairs = [(a, k - 1) for a in range(k - 1)]
    members = contrasts.members(pairs, with_p=False) if k > 2 else first
    true = truth[:-1] - truth[-1] if k > 2 else true
    found.baseline, found.baseline_wrong = covers(members, true), wrong(members, true)
    leads, order = contrasts.with_best(), np.sort(truth)
    best = truth >= order[-1] - SLACK
    lead = truth - np.where(truth == order[-1], order[-2], order[-1])
    found.leads = int(((leads.low <= lead + SLACK) & (lead <= leads.high + SLACK)).all())
    alone = best.sum() == 1
    called = np.array([verdict == BEST for verdict in leads.verdict])
    excluded = np.array([verdict == WORSE for verdict in leads.verdict])
    found.best_wrong = int((excluded & best).any() or (called & ~(best & alone)).any())
    found.best_found = int((called & best).any() and alone)
    return found


def covers(members: Members, truth: np.ndarray) -> int:
    return int(((members.low <= truth + SLACK) & (truth <= members.high + SLACK)).all())


def wrong(members: Members, truth: np.ndarray) -> int:
    """Tell whether a difference is called significant that is none, or in the wrong direction."""
    said = np.where(members.significant, np.sign(members.difference), 0)
    return int((said * np.sign(np.where(np.abs(truth) < SLACK, 0, truth)) < said**2).any())


def simulate(
    case: Case, worlds: int, n_samples: int = 1000, seed: int = 0, least: float = LEAST_CLASSES
) -> Counts:
    """Judge test sets of one population.

    Args:
        case: The population.
        worlds: Number of test sets to draw.
        n_samples: Number of resamples. Defaults to 1000.
        seed: Seed of the test sets. Defaults to 0.
        least: Least effective number of classes of a test set. Sizes of classes are drawn until
            they have as many, which tells nothing of the scores. Defaults to that from which the
            workbench makes claims; below, claims are made for the count only.

    Returns:
        Counts over the test sets.
    """
    rng, truth, total = np.random.default_rng(seed), case.truth, Counts()
    with mock.patch.object(statistics, "LEAST_CLASSES", min(least, LEAST_CLASSES)):
        for number in range(worlds):
            one = judge(draw_world(rng, case, least), truth, n_samples, number)
            for name, value in vars(one).items():
                setattr(total, name, getattr(total, name) + value)
    return total


@dataclass
class Planned:
    """What plans came to.

    Attributes:
        pilots: Test sets planned from.
        endless: Those whose plan says that no number is enough.
        needed: Numbers planned.
        found: Test sets of these numbers on which the difference was found significant.
    """

    pilots: int
    endless: int
    needed: list[float]
    found: int


def planned(case: Case, worlds: int, what: str, n_samples: int = 1000, seed: int = 0) -> Planned:
    """Plan from a pilot test set for its true difference, and test on a new one of that size.

    Args:
        case: The population of the pilots.
        worlds: Number of pilots.
        what: What is planned: ``classes`` or ``seeds``.
        n_samples: Number of resamples. Defaults to 1000.
        seed: Seed of the test sets. Defaults to 0.
    """
    rng, truth = np.random.default_rng(seed), case.truth
    total = Planned(worlds, 0, [], 0)
    for number in range(worlds):
        pilot = draw_world(rng, case, LEAST_CLASSES)
        said = plan(pilot.moderated(), 0, 1, abs(truth[0] - truth[1]))
        needed = said.needed_classes if what == "classes" else said.needed_seeds
        if not np.isfinite(needed) or (what == "seeds" and needed > MOST_SEEDS):
            total.endless += 1
            continue
        if what == "classes":
            size = int(np.ceil(needed * case.classes / said.classes))
            drawn = class_sizes(rng, replace(case, classes=size))
            while effective_classes(drawn) < needed:
                size += 1
                drawn = class_sizes(rng, replace(case, classes=size))
            scores = draw_world(rng, replace(case, classes=size), needed)
        else:
            scores = draw_world(rng, replace(case, seeds=max(2, int(needed))), LEAST_CLASSES)
        members = Contrasts(scores, n_samples, number).members([(0, 1)], with_p=False)
        total.needed.append(needed)
        total.found += int(members.significant[0] and members.difference[0] > 0)
    return total


EMBEDDED = ("recall@1", "map@r", "nmi")


def embedded(classes: int, worlds: int, starts: int, seed: int = 0) -> np.ndarray:
    """Evaluate embeddings, and return three metrics with their intervals.

    Gaussian classes of unequal size and width are ranked and clustered as in any evaluation, so
    queries of one class are confused with the same other classes.

    Args:
        classes: Number of classes of a test set.
        worlds: Number of test sets.
        starts: Number of starts of k-means.
        seed: Seed of the test sets. Defaults to 0.

    Returns:
        float64, (worlds, 3, 3): value, low and high of each of :data:`EMBEDDED`.
    """
    found = []
    for number in range(worlds):
        rng = np.random.default_rng([seed, number])
        size = class_sizes(rng, Case(classes=classes))
        while effective_classes(np.maximum(2, size)) < LEAST_CLASSES:
            size = class_sizes(rng, Case(classes=classes))
        labels = np.repeat(np.arange(classes), np.maximum(2, size))
        width = rng.lognormal(-0.3, 0.4, classes)[labels][:, None]
        noise = width * rng.standard_normal((len(labels), 8))
        x = (rng.standard_normal((classes, 8))[labels] + noise).astype(np.float32)
        result = evaluate(x, labels, n_init=starts, seed=number)
        found.append([(result.metrics[m], *result.intervals[m]) for m in EMBEDDED])
    return np.array(found)


def effects(kind: str, runs: int) -> tuple[float, ...]:
    """Return the effects of a scenario: all equal, one best, or three tied best."""
    first = {"null": 0, "one best": 1, "three tied": 3}[kind]
    return (0.5,) * first + (0.0,) * (runs - first)


GRID = [(10, "equal"), *product((20, 100), SIZES), (40, "pareto"), (500, "pareto")]
SINGLE = [
    *(Case(c, sizes, base, (0.5, 0.0)) for base in (0.6, 0.95) for c, sizes in GRID),
    *(
        Case(c, sizes, 0.6, (0.5, 0.0), metric="graded")
        for c, sizes in [(10, "equal"), (20, "lognormal"), (40, "pareto"), (100, "lognormal")]
    ),
]
FAMILIES = [
    (kind, Case(c, sizes, 0.6, effects(kind, runs)))
    for runs, c, sizes, kinds in [
        (2, 10, "equal", ["null"]),
        (2, 20, "lognormal", ["null", "one best"]),
        (2, 40, "pareto", ["null"]),
        (2, 100, "lognormal", ["null", "one best"]),
        (7, 10, "equal", ["null"]),
        (7, 20, "lognormal", ["null", "one best", "three tied"]),
        (7, 40, "pareto", ["null"]),
        (7, 100, "lognormal", ["null", "one best", "three tied"]),
        (30, 10, "equal", ["null"]),
        (30, 20, "lognormal", ["null"]),
        (30, 100, "lognormal", ["null"]),
    ]
    for kind in kinds
]
SPREADS = {"moderate": (0.15, 0.2), "large": (0.4, 0.1)}
SEEDS = [
    (spread, Case(c, effects=(0.0,) * runs, seeds=m, seed_spread=one, seed_class_spread=each))
    for runs, c, m in [(2, 20, 2), (2, 20, 3), (2, 20, 10), (2, 200, 3), (7, 40, 3)]
    for spread, (one, each) in SPREADS.items()
]
PLANS = [
    ("classes", Case(20, effects=(0.3, 0.0))),
    ("classes", Case(40, effects=(0.3, 0.0))),
    ("classes", Case(40, "pareto", 0.95, (0.5, 0.0))),
    ("classes", Case(40, effects=(0.5, 0.0), seeds=3)),
    ("classes", Case(40, effects=(0.5, 0.0), seeds=10)),
    ("seeds", Case(200, effects=(0.4, 0.0), seeds=3)),
    ("seeds", Case(200, effects=(0.4, 0.0), seeds=10)),
]
EMBEDDINGS = (20, 40, 100)
FEW = [
    Case(c, sizes)
    for c, sizes in [*product((5, 8), SIZES), (10, "lognormal"), (10, "pareto")]
]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", type=int, default=1000)
    parser.add_argument("--fewer", type=int, default=500, help="for seeds and few classes")
    parser.add_argument("--plans", type=int, default=500)
    parser.add_argument("--embeddings", type=int, default=100)
    parser.add_argument("--starts", type=int, default=10)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    with ProcessPoolExecutor(options.processes) as pool:
        jobs = {
            key: pool.submit(function, *arguments)
            for key, (function, arguments) in tasks(options).items()
        }
        found = {}
        for key, future in jobs.items():
            found[key] = future.result()
            print(*key)
    options.out.write_text(markdown(found, options))


def tasks(options: argparse.Namespace) -> dict[tuple, tuple]:
    """Return the function and the arguments of every row, by its table and place."""
    todo: dict[tuple, tuple] = {}
    for place, (_, case) in enumerate(FAMILIES):
        todo["families", place] = simulate, (case, options.worlds, 1000, place)
    for place, case in enumerate(SINGLE):
        todo["single", place] = simulate, (case, options.worlds, 1000, place)
    for place, (_, case) in enumerate(SEEDS):
        todo["seeds", place] = simulate, (case, options.fewer, 1000, place)
    for place, case in enumerate(FEW):
        todo["few", place] = simulate, (case, options.fewer, 1000, place, 0)
    for place, (what, case) in enumerate(PLANS):
        todo["plans", place] = planned, (case, options.plans, what, 1000, place)
    for classes in EMBEDDINGS:
        todo["embeddings", classes] = embedded, (classes, options.embeddings, options.starts)
    return todo


def share(part: int, whole: int) -> str:
    """Format a share in percent with its standard error."""
    p = part / whole
    error = (max(p * (1 - p), 0.5 / whole) / whole) ** 0.5
    return f"{100 * p:.1f} ± {100 * error:.1f}"


def row(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def table(*head: str) -> list[str]:
    return [row(*head), row(*["---"] * len(head))]


def markdown(found: dict[tuple, object], options: argparse.Namespace) -> str:
    """Return the tables."""
    lines = [HEAD.format(least=LEAST_CLASSES, **vars(options)), "", *findings(found)]
    lines += ["", "## One run, and one difference", "", SINGLE_TEXT, ""]
    lines += table(
        "classes", "sizes", "scores", "effective", "level", "difference", "yes", "no"
    )  # fmt: skip
    for place, case in enumerate(SINGLE):
        c = found["single", place]
        cells = [share(x, c.worlds) for x in (c.level, c.difference, c.yes, c.no)]
        lines.append(
            row(case.classes, case.sizes, scores(case), f"{c.effective / c.worlds:.0f}", *cells)
        )
    lines += ["", "## Families", "", FAMILIES_TEXT, ""]
    lines += table(
        "runs",
        "classes",
        "sizes",
        "truth",
        "best: holds",
        "wrong",
        "found",
        "baseline: holds",
        "wrong",
        "all pairs: hold",
        "wrong",
    )
    for place, (label, case) in enumerate(FAMILIES):
        c = found["families", place]
        cells = [
            share(c.leads, c.worlds),
            share(c.best_wrong, c.worlds),
            share(c.best_found, c.worlds) if label == "one best" else "",
            *(share(x, c.worlds) for x in (c.baseline, c.baseline_wrong, c.pairs, c.pairs_wrong)),
        ]
        lines.append(row(len(case.effects), case.classes, case.sizes, label, *cells))
    lines += ["", "## Seeds", "", SEEDS_TEXT, ""]
    lines += table(
        "runs", "classes", "seeds", "spread over seeds", "level", "difference",
        "best: wrong", "baseline: wrong", "all pairs: wrong",
    )  # fmt: skip
    for place, (label, case) in enumerate(SEEDS):
        c = found["seeds", place]
        counted = (c.level, c.difference, c.best_wrong, c.baseline_wrong, c.pairs_wrong)
        cells = [share(x, c.worlds) for x in counted]
        lines.append(row(len(case.effects), case.classes, case.seeds, label, *cells))
    lines += ["", "## Planning", "", PLANS_TEXT, ""]
    lines += table(
        "planned", "pilot: classes", "sizes", "scores", "seeds", "needed, median",
        "no number is enough", "found",
    )  # fmt: skip
    for place, (what, case) in enumerate(PLANS):
        p = found["plans", place]
        middle = f"{np.median(p.needed):.0f}" if p.needed else "–"
        lines.append(
            row(
                what,
                case.classes,
                case.sizes,
                scores(case),
                case.seeds,
                middle,
                share(p.endless, p.pilots),
                share(p.found, len(p.needed)) if p.needed else "–",
            )
        )
    lines += ["", "## Embeddings that were ranked and clustered", ""]
    lines += [EMBEDDINGS_TEXT.format(**vars(options)), ""]
    lines += table("classes", *(f"{LABELS[m]}: mean | holds" for m in EMBEDDED))
    lines[-1] = row(*["---"] * (1 + 2 * len(EMBEDDED)))
    for classes in EMBEDDINGS:
        values = found["embeddings", classes]
        truth = values[:, :, 0].mean(axis=0)
        held = ((values[:, :, 1] <= truth) & (truth <= values[:, :, 2])).sum(axis=0)
        pairs = zip(truth, held, strict=True)
        cells = [each for t, h in pairs for each in (f"{100 * t:.1f}", share(h, len(values)))]
        lines.append(row(classes, *cells))
    lines += ["", "## Below the least number of classes", "", FEW_TEXT, ""]
    lines += table("classes", "sizes", "scores", "effective", "level", "difference")
    for place, case in enumerate(FEW):
        c = found["few", place]
        cells = [share(x, c.worlds) for x in (c.level, c.difference)]
        lines.append(
            row(case.classes, case.sizes, scores(case), f"{c.effective / c.worlds:.1f}", *cells)
        )
    return "\n".join(lines) + "\n"


def findings(found: dict[tuple, object]) -> list[str]:
    """Say in a sentence each what the tables come to, in ranges of percent."""

    def spread(counts: list[Counts], *names: str) -> str:
        shares = [100 * getattr(c, name) / c.worlds for c in counts for name in names]
        return f"{min(shares):.1f} to {max(shares):.1f}"

    def counts(key: str, wanted: Callable[[int], bool] = lambda _: True) -> list[Counts]:
        return [c for (k, place), c in found.items() if k == key and wanted(place)]

    single, families, several = counts("single"), counts("families"), counts("seeds")
    near_one = counts("single", lambda place: SINGLE[place].base > 0.9)
    verdicts = ("best_wrong", "baseline_wrong", "pairs_wrong")
    plans = [(PLANS[place], p) for (k, place), p in found.items() if k == "plans"]
    powers = [100 * p.found / len(p.needed) for (_, c), p in plans if c.seeds != 3]
    lines = [
        f"Intervals of a metric hold the truth in {spread(single, 'level')} of 100 test sets, "
        f"those of a difference in {spread(single, 'difference')}. More than 97 is where runs "
        "differ on few classes (10 classes, R@1 near 95), and no difference can be significant.",
        f"Some verdict of a family is wrong in {spread(families, *verdicts)} of 100 test sets.",
    ]
    if several:
        lines.append(
            f"With several seeds, intervals hold in {spread(several, 'level', 'difference')}, and "
            f"some verdict of a family is wrong in {spread(several, *verdicts)}."
        )
    lines += [
        "An interval of a difference is as long on one side as on the other, but its error is not "
        "where R@1 is near 95: there the misses of non-inferiority fall on one side. A wrong "
        f'"yes" is said in {spread(near_one, "yes")} at the margin itself, a wrong "no" in '
        f"{spread(near_one, 'no')}; 2.5 each is nominal, 5 their sum.",
        f"Plans find the difference in {min(powers):.0f} to {max(powers):.0f} of 100 cases (80 is "
        "nominal). Outside this are plans of classes from three seeds: most say that no number is "
        "enough, and those that name one do so because the spread over seeds came out small by "
        "chance. Of these, about half find the difference.",
    ]
    return [f"- {line}" for line in lines]


LABELS = {"recall@1": "R@1", "map@r": "MAP@R", "nmi": "NMI"}


def scores(case: Case) -> str:
    """Name the scores and the rate of the median class."""
    return f"{'R@1' if case.metric == 'hits' else 'MAP@R'}, {case.base:g}"


HEAD = """# Coverage of intervals, family-wise error of verdicts

`python benchmarks/verdicts.py --worlds {worlds} --fewer {fewer} --plans {plans} --embeddings \
{embeddings}`: {worlds} synthetic test sets per row ({fewer} for seeds and few classes, {plans} \
for plans, {embeddings} embedded), 1,000 resamples each. All figures in percent, with their \
standard errors.

Truth is known: classes are drawn from an infinite population, runs share the difficulty of a \
class and of a query (correlated runs), and every run and seed does better or worse on single \
classes. Sizes of classes are equal, lognormal (sigma 0.8) or Pareto (shape 1.5, at most 40 \
times the mean), 20 queries on average. Scores are 0 or 1 as those of R@1, or any number \
between them as those of MAP@R; behind the metric stands its value on the median class.

**Claims are made from {least} effective classes on**, (sum of sizes)^2 / sum of squared sizes, \
which is the number of classes where all have the same size. Below, there is no interval and no \
verdict. So every test set here has at least {least}, but in the last table."""
SINGLE_TEXT = """Nominal: 95. Two runs differ by 0.5 logits. *Level*: the interval of the first \
run holds its true mean. *Difference*: that of the two alone. *Yes*: the second run is called \
"not worse by more than x" where x is exactly what it is worse by. *No*: it is called worse by \
more than that (nominal, each: 2.5)."""
FAMILIES_TEXT = """*Holds*: all intervals of the family hold at once (nominal: 95 or more). \
*Wrong*: some verdict of the family is wrong (nominal: 5 or less); with the best, a truly best \
run is excluded, or a run is called the best that is not, or not alone. *Found*: the one best \
run is called the best. Where several runs are tied as the best, the intervals of the leads \
hold more often than nominal, as those of Hsu must."""
SEEDS_TEXT = """Runs without a difference, several training seeds each, lognormal sizes; \
intervals are for the mean over all seeds. *Large*: seeds scatter more than classes do."""
PLANS_TEXT = """Pilots of two runs are planned from, for their true difference. Then a new test \
set of as many classes (or a new one of as many classes and the planned seeds) is drawn, and \
the better run is *found* significantly better (nominal: 80). A plan that says that no number \
of seeds is enough, or more than 40, is not carried out."""
EMBEDDINGS_TEXT = """Gaussian classes of unequal size and width in 8 dimensions, ranked and \
clustered as in any evaluation, k-means from {starts} starts. All three metrics depend on the \
number of classes. So the truth is the mean of the metric over test sets of as many classes, \
and over the starts of k-means: what another test set of this size would give on average. \
Nominal: 95."""
FEW_TEXT = """Why no claims are made there: intervals that are far too narrow for levels, or \
hold nearly always since no difference can be significant."""


if __name__ == "__main__":
    main()
