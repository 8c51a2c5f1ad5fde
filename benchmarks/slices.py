"""Coverage of the intervals of slices and family-wise error of their verdicts, with known truth.

    python -m benchmarks.slices              # some minutes on two idle cores; writes the table
    python -m benchmarks.slices --worlds 50 --out /tmp/slices.md

A world draws a test set from a population of classes in slices. Either each class lies in one slice
(as with class size), or every class has queries in several slices (as with the store). Two runs
share the difficulty of classes and queries; each run does better or worse on a slice, a class, a
class in a slice, and a seed. So the true figure of every run in every slice is known.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import special

from benchmarks.worlds import noise, options_of, simulate_all
from retrieval.evaluation.binning import Groups
from retrieval.evaluation.slices import Sliced, slice_scores

OUT = Path(__file__).parent / "results" / "slices.md"
QUERIES = 20  # per class, on average


@dataclass(frozen=True)
class Case:
    """A population to draw test sets from.

    Attributes:
        classes: Number of classes of a test set.
        slices: Number of slices.
        nested: Whether each class lies in one slice.
        unequal: Whether the slices shrink: every one has half the classes, or queries, of the one
            before.
        base: Recall@1 of the second run, of the median class.
        ahead: Lead of the first run in all slices, in logits.
        apart: What its lead is larger in the first slice, in logits.
        harder: What the first slice is harder for both runs, in logits.
        seeds: Training seeds of every run.
        slice_seed_spread: Standard deviation of what a seed adds in a slice, in logits.
        class_spread: Standard deviation of the classes' difficulty, in logits, common to all runs.
        run_spread: Standard deviation of what a run does on a class, in logits.
        run_slice_spread: Standard deviation of what a run does on a class in a slice.
    """

    classes: int = 60
    slices: int = 4
    nested: bool = True
    unequal: bool = False
    base: float = 0.6
    ahead: float = 0.0
    apart: float = 0.0
    harder: float = 0.0
    seeds: int = 1
    slice_seed_spread: float = 0.2
    class_spread: float = 1.0
    run_spread: float = 0.5
    run_slice_spread: float = 0.3

    @property
    def shares(self) -> np.ndarray:
        """Share of the classes, or of the queries, in each slice."""
        share = 0.5 ** np.arange(self.slices) if self.unequal else np.ones(self.slices)
        return share / share.sum()

    @property
    def logits(self) -> np.ndarray:
        """Logits of both runs in every slice, of the median class, (2, g)."""
        found = np.full((2, self.slices), special.logit(self.base))
        found[0] += self.ahead
        found[0, 0] += self.apart
        found[:, 0] -= self.harder
        return found

    @property
    def truth(self) -> np.ndarray:
        """True figures of both runs in every slice, (2, g).

        One seed is judged as it is, conditional on the training run.
        """
        x, weight = np.polynomial.hermite_e.hermegauss(80)
        parts = [self.class_spread, self.run_spread, self.run_slice_spread]
        parts += [self.slice_seed_spread] if self.seeds > 1 else []
        logits = self.logits[..., None] + np.linalg.norm(parts) * x
        return (weight * special.expit(logits)).sum(axis=-1) / weight.sum()


def draw_world(
    rng: np.random.Generator, case: Case
) -> tuple[dict[str, np.ndarray], np.ndarray, Groups]:
    """Draw the scores of both runs on one test set, the classes and the slices of its queries."""
    c, g = case.classes, case.slices
    size = np.maximum(1, np.round(rng.lognormal(np.log(QUERIES) - 0.32, 0.8, c))).astype(int)
    labels = np.repeat(np.arange(c), size)
    if case.nested:
        cuts = np.round(np.cumsum(case.shares) * c).astype(int)
        codes = np.searchsorted(cuts, labels, side="right")
    else:
        codes = rng.choice(g, len(labels), p=case.shares)
    logits = case.logits[:, None] + case.class_spread * rng.standard_normal((1, c, 1))
    logits = logits + case.run_spread * rng.standard_normal((2, c, 1))
    logits = logits + case.run_slice_spread * rng.standard_normal((2, c, g))
    logits = np.repeat(logits[:, None], case.seeds, axis=1)  # (2, seeds, c, g)
    if case.seeds > 1:
        logits = logits + case.slice_seed_spread * rng.standard_normal((2, case.seeds, 1, g))
    rates = special.expit(logits)[:, :, labels, codes]
    common = np.sqrt(0.6) * rng.standard_normal(len(labels))
    own = np.sqrt(0.4) * rng.standard_normal(rates.shape)
    hits = (special.ndtr(common + own) < rates).astype(float)
    groups = Groups("slice", tuple(map(str, range(g))), codes.astype(np.int64), "categories")
    return dict(zip(("a", "b"), hits, strict=True)), labels, groups


@dataclass
class Counts:
    """Numbers of worlds with a claim, and of those in which something held.

    Attributes:
        worlds: Worlds in which a slice gets a claim.
        slices: Slices with a claim, of all worlds.
        level: Slices whose interval holds the first run's true figure.
        differences: Worlds in which the intervals of all differences hold theirs.
        differences_wrong: Some difference is called significant that is none, or in the wrong
            direction; so for gaps.
        gaps: Worlds in which the intervals of all gaps of the difference hold theirs.
        own_gaps: Worlds in which those of all gaps of the first run alone do.
        found: The first slice is said to differ more than the rest.
    """

    worlds: int = 0
    slices: int = 0
    level: int = 0
    differences: int = 0
    differences_wrong: int = 0
    gaps: int = 0
    gaps_wrong: int = 0
    own_gaps: int = 0
    own_gaps_wrong: int = 0
    found: int = 0


def simulate(case: Case, worlds: int, n_samples: int = 1000, seed: int = 0) -> Counts:
    """Judge the worlds of one case.

    Args:
        case: The population.
        worlds: Number of test sets to draw.
        n_samples: Number of resamples. Defaults to 1000.
        seed: Seed of the worlds. Defaults to 0.
    """
    rng, truth, counts = np.random.default_rng(seed), case.truth, Counts()
    for number in range(worlds):
        scores, labels, groups = draw_world(rng, case)
        sliced = slice_scores(scores, labels, groups, n_samples=n_samples, seed=number)
        alone = slice_scores({"a": scores["a"]}, labels, groups, n_samples=n_samples, seed=number)
        for name, value in vars(judge(sliced, alone, truth, groups)).items():
            setattr(counts, name, getattr(counts, name) + value)
    return counts


def judge(sliced: Sliced, alone: Sliced, truth: np.ndarray, groups: Groups) -> Counts:
    """Count what the intervals and verdicts of one world got right."""
    table, there = sliced.table, sliced.table["slice"].astype(int).to_numpy()
    queries = np.bincount(groups.codes, minlength=truth.shape[1])
    claimed = table["difference_low"].notna().to_numpy()
    if not claimed.any():
        return Counts()
    a, difference = truth[0, there], (truth[0] - truth[1])[there]
    level = (table["a_low"] <= a + 1e-12) & (a <= table["a_high"] + 1e-12)
    gap_of = [apart(value, queries)[there] for value in (truth[0] - truth[1], truth[0])]
    return Counts(
        worlds=1,
        slices=int(claimed.sum()),
        level=int(level[claimed].sum()),
        differences=covers(table, "difference", difference),
        differences_wrong=wrong(table, "difference", difference),
        gaps=covers(table, "gap", gap_of[0]),
        gaps_wrong=wrong(table, "gap", gap_of[0]),
        own_gaps=covers(alone.table, "gap", gap_of[1]),
        own_gaps_wrong=wrong(alone.table, "gap", gap_of[1]),
        found=int(table["gap_low"].iloc[0] > 0),
    )


def apart(value: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Return the value of every slice minus that of all other queries."""
    total, rest = (value * queries).sum(), queries.sum() - queries
    return value - (total - value * queries) / np.maximum(rest, 1)


def covers(table, name: str, truth: np.ndarray) -> int:
    low, high = table[f"{name}_low"], table[f"{name}_high"]
    held = (low <= truth + 1e-12) & (truth <= high + 1e-12)
    return int((held | low.isna()).all())


def wrong(table, name: str, truth: np.ndarray) -> int:
    said = np.where(table[f"{name}_significant"], np.sign(table[name]), 0)
    true = np.sign(np.where(np.abs(truth) < 1e-12, 0, truth))
    return int(((said != 0) & (said != true)).any())


def cases() -> Iterator[tuple[str, Case]]:
    """Yield what is special about each case, and the case."""
    for nested in (True, False):
        for classes, slices in ((40, 2), (60, 4), (200, 4), (200, 12), (500, 8)):
            yield "runs equal", Case(classes, slices, nested)
        yield "slices of unequal size", Case(200, 4, nested, unequal=True)
        yield "R@1 of .95", Case(100, 4, nested, base=0.95)
        yield "a slice is harder", Case(100, 4, nested, harder=1.0, ahead=0.8)
        yield "a slice differs more", Case(100, 4, nested, apart=1.0)
        yield "3 seeds", Case(100, 4, nested, seeds=3)


def main() -> None:
    options = options_of(__doc__.splitlines()[0], OUT)
    todo = list(cases())
    found = simulate_all(simulate, [case for _, case in todo], options)
    options.out.write_text(markdown(todo, found, options))


def percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}" if whole else "–"


def markdown(todo, found, options) -> str:
    """Return the table."""
    off = noise(options.worlds)
    head = [
        "each class lies in", "case", "classes", "slices", "worlds with claims", "level",
        "differences: hold", "wrong", "gaps of the difference: hold", "wrong",
        "gaps of one run: hold", "wrong", "found",
    ]  # fmt: skip
    lines = [HEAD.format(**vars(options), few=max(0, 5 - off), many=5 + off), "", row(*head)]
    lines.append(row(*["---"] * len(head)))
    pooled = Counts()
    for one in found:
        for name, value in vars(one).items():
            setattr(pooled, name, getattr(pooled, name) + value)
    rows = [*zip(todo, found, strict=True), (("**all rows**", None), pooled)]
    for (label, case), c in rows:
        lines.append(
            row(
                *(["", label, "", ""] if case is None else _facts(label, case)),
                c.worlds,
                percent(c.level, c.slices),
                percent(c.differences, c.worlds),
                percent(c.differences_wrong, c.worlds),
                percent(c.gaps, c.worlds),
                percent(c.gaps_wrong, c.worlds),
                percent(c.own_gaps, c.worlds),
                percent(c.own_gaps_wrong, c.worlds),
                percent(c.found, c.worlds) if case is not None and case.apart else "",
            )
        )
    return "\n".join(lines) + "\n"


def _facts(label: str, case: Case) -> list[object]:
    return ["one slice" if case.nested else "all slices", label, case.classes, case.slices]


def row(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


HEAD = (
    "# Slices: coverage of intervals, family-wise error of verdicts\n\n"
    "`python -m benchmarks.slices --worlds {worlds} --samples {samples}`: {worlds} synthetic test "
    "sets per row, {samples} resamples each; all figures in percent. A true 5 shows as {few:.1f} "
    "to {many:.1f}.\n\n"
    "Truth is known: classes are drawn from an infinite population, two runs share the difficulty "
    "of a class and of a query, and a run does better or worse on single classes and on single "
    "classes in a slice. Sizes of classes are lognormal (sigma 0.8), 20 queries on average.\n\n"
    "*Level*: the interval of a run's figure in a slice alone holds (nominal: 95). *Hold*: all "
    "intervals of the family hold at once (nominal: 95 or more). *Wrong*: some verdict of the "
    "family is wrong (nominal: 5 or less). A *gap* is that between a slice and all other queries. "
    "*Found*: the slice in which the runs differ more is named."
)


if __name__ == "__main__":
    main()
