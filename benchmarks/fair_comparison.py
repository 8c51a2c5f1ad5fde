"""Does tuning change who wins? Writes the page of a finished fair tuning.

    retrieval fetch grocery
    retrieval tune --losses baseline --trials 30 --folds 3 --seeds 3 --dataset grocery \\
        --freeze-backbone --image-size 160 --steps 200 --out fair_comparison
    python benchmarks/fair_comparison.py [runs]        # writes results/fair_comparison.md

``notebooks/fair_comparison.ipynb`` makes the same runs and shows them.
"""

import argparse
from pathlib import Path

from retrieval.evaluation.metrics import metric
from retrieval.report.tuning import (
    SEARCH_HEAD,
    budget_line,
    conclusions,
    effects_family,
    effects_line,
    folds_line,
    outcome_head,
    outcome_rows,
    search_rows,
    spread_line,
    tuned_losses,
    winner_line,
)
from retrieval.runs.store import open_run
from retrieval.runs.tuning import COMPLETE, Tuning, read_tuning, tuning_folder

OUT = Path(__file__).parent / "results" / "fair_comparison.md"
NAME, DATASET = "fair_comparison", "grocery"
METRICS = ("recall@1", "map@r")
HEADING = """# Does tuning change who wins?

Six losses of the published baseline on Grocery (even classes train, odd classes test), a linear
head on frozen EfficientNet-Lite0 features at 160 px, 128 dimensions, Adam. Every loss was given the
same search budget over the space that it declares (`retrieval losses` lists them), chosen on
class-disjoint folds of the training classes, never on test. What was chosen and what is recommended
were then trained with the same three seeds on all training classes, for as many steps as a trial
takes, and tested once.

```bash
retrieval tune --losses baseline --trials 30 --folds 3 --seeds 3 --dataset grocery \\
    --freeze-backbone --image-size 160 --steps 200 --out fair_comparison
python benchmarks/fair_comparison.py
```
"""


def row(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    return [row(*head), row(*["---"] * len(head)), *(row(*cells) for cells in rows)]


def cost(tuning: Tuning) -> str:
    """Say what the trials took."""
    trials = [trial for each in tuning.trials.values() for trial in each]
    whole = [t.result.seconds for t in trials if t.result.state == COMPLETE]
    total = sum(trial.result.seconds for trial in trials)
    return (
        f"{len(trials)} trials took {total / 60:.0f} minutes, a complete one "
        f"{sum(whole) / len(whole):.0f} s on average"
    )


def markdown(runs: Path, machine: str) -> str:
    """Return the page."""
    tuning = read_tuning(tuning_folder(runs, DATASET, NAME))
    made = {name: open_run(runs / DATASET / name) for name in tuning.run_names}
    first = next(iter(made.values()))
    tests = {
        (protocol, name): tuned_losses(tuning, made, protocol, name)
        for protocol in first.protocol_titles
        for name in METRICS
    }
    lines = [HEADING, f"{machine}; {cost(tuning)}.", "", "## Findings", ""]
    for (protocol, name), tuned in tests.items():
        said = (winner_line(tuned), effects_line(tuned), spread_line(tuned))
        where = f"{first.protocol_titles[protocol]}, {metric(name).title}"
        lines.append(f"- **{where[:1].upper()}{where[1:]}.** {'; '.join(said)}.")
    lines += ["", "## The search", ""]
    lines += [
        f"{line[:1].upper()}{line[1:]}." for line in (budget_line(tuning), folds_line(tuning))
    ]
    lines += ["", *table(list(SEARCH_HEAD), search_rows(tuning))]
    for (protocol, name), tuned in tests.items():
        title = first.protocol_titles[protocol]
        lines += ["", f"## {title[:1].upper()}{title[1:]}, {metric(name).title}", ""]
        lines += [f"- {line}" for line in conclusions(tuned)]
        lines += ["", f"Differences are {effects_family(tuned)}.", ""]
        lines += table(outcome_head(name), outcome_rows(tuned))
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", nargs="?", type=Path, default=Path("runs"))
    parser.add_argument("--machine", default="2 cores, 24 GiB, no GPU; Python 3.11")
    options = parser.parse_args()
    OUT.write_text(markdown(options.runs, options.machine), encoding="utf-8")
    print(OUT)


if __name__ == "__main__":
    main()
