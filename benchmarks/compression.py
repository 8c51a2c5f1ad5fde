"""Coverage of the intervals of what smaller forms of an embedding cost, with known truth.

    python -m benchmarks.compression              # two minutes on two idle cores; writes the table
    python -m benchmarks.compression --worlds 50 --out /tmp/compression.md

A world draws a test set of classes from a population. The full embedding answers a query right or
wrong. Every form changes the answer of some: of right ones a share becomes wrong, of wrong ones a
share right. Forms range from one that changes hardly any query to one that changes a third. What a
form changes varies from class to class, from seed to seed, and the forms share it in part. So the
true cost of every form is known.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import special

from benchmarks.worlds import noise, options_of, simulate_all
from retrieval.evaluation.costs import BOOTSTRAP, FEW, UNCHANGED, costs

OUT = Path(__file__).parent / "results" / "compression.md"
RULES = (BOOTSTRAP, FEW, UNCHANGED)
# Share of right answers that become wrong, on average, with every form.
FORMS = {
    "a": 0.0002,
    "b": 0.0005,
    "c": 0.001,
    "d": 0.003,
    "e": 0.01,
    "f": 0.05,
    "g": 0.15,
    "h": 0.35,
}
WON = 0.6  # of wrong answers, the share that becomes right, as a multiple of the share lost


@dataclass(frozen=True)
class Case:
    """A population to draw test sets from.

    Attributes:
        classes: Number of classes of a test set.
        queries: Number of queries of a class, on average.
        unequal: Whether classes are of very unequal size.
        seeds: Training seeds.
        together: Coefficient of variation of what a form changes in a class, around its mean.
        seed_spread: The same over training seeds. A single seed has none: its intervals are for
            that training run.
        seed_power: The standard deviation of a cost over seeds grows with this power of what a form
            changes. On Grocery it is about the same for forms that change 7% of the queries and
            60%: a power between 0 and 0.5.
        class_spread: Standard deviation of the difficulty of classes, in logits.
    """

    classes: int = 60
    queries: int = 20
    unequal: bool = False
    seeds: int = 1
    together: float = 0.7
    seed_spread: float = 0.0
    seed_power: float = 0.5
    class_spread: float = 1.0

    def seed_variation(self, share: float) -> float:
        """Return the coefficient of variation over seeds of what a form of some share changes."""
        return self.seed_spread * (share / 0.05) ** (self.seed_power - 1)


def cases() -> Iterator[tuple[str, Case]]:
    """Yield the title of every case and the case."""
    yield "as Grocery", Case(classes=38, queries=32, unequal=True)
    yield "queries change on their own", Case(together=0.0)
    yield "usual", Case()
    yield "classes change together", Case(together=2.0)
    yield "classes of unequal size", Case(unequal=True)
    yield "few classes", Case(classes=20)
    yield "many classes", Case(classes=400, queries=5)
    yield "3 seeds", Case(seeds=3, seed_spread=0.15)
    yield "3 seeds, classes change together", Case(seeds=3, seed_spread=0.15, together=2.0)
    yield (
        "3 seeds, which scatter in proportion to what changes",
        Case(seeds=3, seed_spread=0.15, seed_power=1.0),
    )
    yield "2 seeds", Case(seeds=2, seed_spread=0.15)


def _gamma(rng: np.random.Generator, spread: float, size) -> np.ndarray:
    """Draw factors of mean 1 and a coefficient of variation."""
    if not spread:
        return np.ones(size)
    return rng.gamma(spread**-2, spread**2, size)


def world(case: Case, rng: np.random.Generator) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Draw the scores of a test set: form -> (seeds, q), and the class of each query."""
    sizes = np.full(case.classes, case.queries)
    if case.unequal:
        sizes = np.maximum(2, rng.lognormal(np.log(case.queries) - 0.32, 0.8, case.classes))
        sizes = sizes.astype(int)
    classes = np.repeat(np.arange(case.classes), sizes)
    easy = special.expit(1 + case.class_spread * rng.standard_normal(case.classes))[classes]
    shared = _gamma(rng, case.together, case.classes)
    scores = {"float32": np.empty((case.seeds, len(classes)))}
    scores |= {name: np.empty((case.seeds, len(classes))) for name in FORMS}
    own = {name: _gamma(rng, case.together, case.classes) for name in FORMS}
    for s in range(case.seeds):
        right = rng.random(len(classes)) < easy
        scores["float32"][s] = right
        for name, share in FORMS.items():
            # Half of what a form changes in a class is shared with the other forms.
            rate = share * (0.5 * shared + 0.5 * own[name])[classes]
            rate = np.minimum(rate * _gamma(rng, case.seed_variation(share), 1), 1)
            flips = rng.random(len(classes)) < np.where(right, rate, WON * rate)
            scores[name][s] = right ^ flips
    return scores, classes


def true_costs(case: Case) -> dict[str, float]:
    """Compute the cost of every form in the population, by drawing many classes of it."""
    rng = np.random.default_rng(99)
    n = 400_000
    easy = special.expit(1 + case.class_spread * rng.standard_normal(n))
    shared = _gamma(rng, case.together, n)
    found = {}
    for name, share in FORMS.items():
        rate = share * (0.5 * shared + 0.5 * _gamma(rng, case.together, n))
        rate = np.minimum(rate * _gamma(rng, case.seed_variation(share), n), 1)
        found[name] = float((rate * (easy - WON * (1 - easy))).mean())
    return found


def simulate(case: Case, worlds: int, samples: int, seed: int) -> Counter:
    """Count how often intervals hold: of every form, of every rule, and all at once."""
    truth, counts = true_costs(case), Counter()
    for number in range(worlds):
        rng = np.random.default_rng([seed, number])
        table = costs(*world(case, rng), n_samples=samples, seed=number).set_index("form")
        if table["cost_low"][list(FORMS)].isna().all():  # classes that count as fewer than ten
            continue
        counts["worlds"] += 1
        holds = {}
        for name in FORMS:
            row = table.loc[name]
            holds[name] = bool(row["cost_low"] <= truth[name] <= row["cost_high"])
            counts[name] += holds[name]
            counts[row["rule"]] += 1
            counts[row["rule"], "holds"] += holds[name]
            counts[row["rule"], "width"] += row["cost_high"] - row["cost_low"]
        counts["all"] += all(holds.values())
    return counts


def main() -> None:
    options = options_of(__doc__.splitlines()[0], OUT)
    todo = list(cases())
    found = simulate_all(simulate, [case for _, case in todo], options)
    options.out.write_text(markdown(todo, found, options))


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def markdown(todo: list[tuple[str, Case]], found: list[Counter], options) -> str:
    """Return the table."""
    rules = [f"{rule}: hold, of, width in points" for rule in RULES]
    head = ["case", "classes", "all at once", *rules]
    lines = [
        "# Intervals of what smaller forms cost",
        "",
        f"Made by `python -m benchmarks.compression --worlds {options.worlds} --samples "
        f"{options.samples}`. Share of worlds, in percent, in which the intervals of all "
        f"{len(FORMS)} forms hold at once, which should be 95 (95 ± {noise(options.worlds):.1f} in "
        f"{options.worlds} worlds) or more; and of single intervals, by the rule that made them: "
        "the bootstrap over classes, bounds of coins where fewer than six classes change, and the "
        "same where no query does. Forms that lose "
        + ", ".join(f"{100 * share:g}" for share in FORMS.values())
        + f"% of the right answers, and win {WON:g} times that share of the wrong ones.",
        "",
        _row(*head),
        _row(*["---"] * len(head)),
    ]
    for (title, case), counts in zip(todo, found, strict=True):
        cells = []
        for rule in RULES:
            n = counts[rule]
            held, width = counts[rule, "holds"], counts[rule, "width"]
            cells.append(f"{100 * held / n:.1f}, {n:,}, {100 * width / n:.1f}" if n else "–")
        lines.append(
            _row(title, case.classes, f"{100 * counts['all'] / counts['worlds']:.1f}", *cells)
        )
    lines += [
        "",
        "Variances over seeds are drawn together in units of what a form changes (root mean "
        "square).",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
