"""What a fair tuning says: budget, folds, what was chosen, and whether it changes who wins."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from retrieval.errors import UserError, counted
from retrieval.evaluation.metrics import DASH, metric
from retrieval.evaluation.significance import Comparison
from retrieval.report.comparing import compare_losses
from retrieval.report.verdicts import (
    ONE_PAIR,
    difference_cells,
    format_p,
    headline,
    joined,
    plan_line,
    points,
)
from retrieval.runs.run import Run
from retrieval.runs.tuning import (
    COMPLETE,
    DIVERGED,
    RECOMMENDED,
    STOPPED,
    TUNED,
    Tuning,
    read_tuning,
    tunings_within,
)

HELPS, HARMS, CANNOT_TELL, NO_CLAIM = "helps", "harms", "cannot tell", "no verdict"
SIGNS = {HELPS: "▲", HARMS: "▼", CANNOT_TELL: "≈", NO_CLAIM: DASH}
SAME = "recommended settings were chosen"
VALIDATION = "mean over the folds of held-out training classes, each leave-one-out"


@dataclass(frozen=True)
class TunedLosses:
    """The tuned losses of a tuning, tested beside the recommended ones.

    Attributes:
        tuning: The record.
        protocol: Name of the test protocol.
        metric: Name of the metric of the test.
        tuned: Comparison of the losses with the chosen settings.
        recommended: Comparison of the losses with the recommended settings.
        effects: One row per loss whose settings were changed, in the order of the record:
            ``loss``, ``difference`` (tuned minus recommended), ``low``, ``high`` (simultaneous over
            these losses), ``p``, ``p_adjusted``, ``significant``, ``wins``, ``ties``, ``losses``.
    """

    tuning: Tuning
    protocol: str
    metric: str
    tuned: Comparison
    recommended: Comparison
    effects: pd.DataFrame

    def effect(self, loss: str) -> Mapping[str, Any] | None:
        """Return the row of a loss in :attr:`effects`; None if its settings were not changed."""
        rows = self.effects[self.effects["loss"] == loss]
        return None if rows.empty else rows.iloc[0].to_dict()


def runs_of(tuning: Tuning, kind: str, runs: Mapping[str, Run]) -> dict[str, list[Run]]:
    """Return the runs of every loss of a tuning.

    Args:
        tuning: A finished record.
        kind: ``tuned`` or ``recommended``.
        runs: Name -> run of the data set.

    Returns:
        Loss -> its runs, one per seed.

    Raises:
        UserError: A run is missing.
    """
    found: dict[str, list[Run]] = {}
    for loss in tuning.losses:
        names = tuning.runs.get(loss, {}).get(kind, ())
        missing = [name for name in names if name not in runs]
        if missing or not names:
            which = missing[0] if missing else loss
            raise UserError(
                f"tuning {tuning.name}: {which} is not there: the same `retrieval tune` trains it"
            )
        found[loss] = [runs[name] for name in names]
    return found


def tuned_losses(
    tuning: Tuning, runs: Mapping[str, Run], protocol: str | None = None, name: str | None = None
) -> TunedLosses:
    """Compare the losses of a finished tuning on the test split.

    Args:
        tuning: The record.
        runs: Name -> run of the data set.
        protocol: Name of the protocol. Defaults to the primary one.
        name: Name of the metric. Defaults to the one that the trials were chosen by.

    Returns:
        The comparisons.

    Raises:
        UserError: A run is missing.
    """
    name = name or tuning.metric
    tuned, recommended = (runs_of(tuning, kind, runs) for kind in (TUNED, RECOMMENDED))
    changed = [loss for loss in tuning.losses if tuned[loss] != recommended[loss]]
    both = {f"{loss}, {TUNED}": tuned[loss] for loss in changed} | {
        f"{loss}, {RECOMMENDED}": each for loss, each in recommended.items()
    }
    effects = compare_losses(both, protocol, name).among(
        [(f"{loss}, {TUNED}", f"{loss}, {RECOMMENDED}") for loss in changed]
    )
    effects = effects.drop(columns=["a", "b"])
    effects.insert(0, "loss", changed)
    first = next(iter(tuned.values()))[0]
    return TunedLosses(
        tuning,
        protocol or first.primary,
        name,
        compare_losses(tuned, protocol, name),
        compare_losses(recommended, protocol, name),
        effects,
    )


def tunings_among(runs: Sequence[Run]) -> list[Tuning]:
    """Return the finished tunings all of whose runs are among some runs.

    Args:
        runs: Runs of one data set.

    Returns:
        The records, by name. A damaged one is left out: the app names it.
    """
    names = {run.name for run in runs}
    found = []
    folders = {run.path.parent for run in runs}
    for folder in sorted(each for one in folders for each in tunings_within(one)):
        try:
            tuning = read_tuning(folder)
        except UserError:
            continue
        wanted = tuning.run_names
        if tuning.finished and wanted and names.issuperset(wanted):
            found.append(tuning)
    return found


def verdict_of(row: Mapping[str, Any]) -> str:
    """Return what the interval of an effect says."""
    if np.isnan(row["low"]):
        return NO_CLAIM
    return HELPS if row["low"] > 0 else HARMS if row["high"] < 0 else CANNOT_TELL


def point_text(point: Mapping[str, Any]) -> str:
    """Return a point of a search space as text.

    >>> point_text({"learning_rate": 0.00123456, "pairs": "all"})
    'learning_rate 0.00123, pairs all'
    """
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in point.items()
    )


SEARCH_HEAD = (
    "Loss", "Complete", "Stopped", "Diverged", "Steps", "Recommended", "Chosen", "Settings chosen"
)  # fmt: skip


def search_rows(tuning: Tuning) -> list[list[str]]:
    """Return the cells under :data:`SEARCH_HEAD`, one list per loss: effort, and what it found."""
    found, rows = metric(tuning.metric), []
    for loss in tuning.losses:
        trials, best = tuning.trials.get(loss, ()), tuning.best(loss)
        states = [trial.result.state for trial in trials]
        rows.append(
            [
                loss,
                *(str(states.count(state)) for state in (COMPLETE, STOPPED, DIVERGED)),
                f"{tuning.steps(loss):,}",
                found.format(trials[0].result.value) if trials else DASH,
                found.format(best.result.value) if best else DASH,
                point_text(best.point) if best else DASH,
            ]
        )
    return rows


def outcome_head(name: str) -> list[str]:
    """Return the head of :func:`outcome_rows`, for a metric."""
    title = metric(name).title
    return [
        "Loss", f"Recommended, {title} [95%]", f"Tuned, {title} [95%]",
        "Tuned minus recommended [95%]", "p, adjusted", "Verdict",
    ]  # fmt: skip


def outcome_rows(tuned: TunedLosses) -> list[list[str]]:
    """Return a row of cells for every loss on the test split, the best tuned one first."""
    found, rows = metric(tuned.metric), []
    before = tuned.recommended.summary.set_index("name")
    for row in tuned.tuned.summary.to_dict("records"):
        old, effect = before.loc[row["name"]], tuned.effect(row["name"])
        cells = [
            row["name"],
            found.format(old["mean"], old["low"], old["high"]),
            found.format(row["mean"], row["low"], row["high"]),
        ]
        if effect is None:
            rows.append([*cells, DASH, DASH, SAME])
            continue
        verdict = verdict_of(effect)
        difference, _, p, *_ = difference_cells(effect, found)
        rows.append([*cells, difference, p, f"{SIGNS[verdict]} {verdict}"])
    return rows


def effects_family(tuned: TunedLosses) -> str:
    """Name the family of the differences between tuned and recommended settings."""
    n = len(tuned.effects)
    if not n:
        return "none, as the recommended settings were chosen for every loss"
    if n == 1:
        return ONE_PAIR
    return f"simultaneous over {n} losses, each with itself"


def budget_line(tuning: Tuning) -> str:
    """State the budget, and what was taken of it, without a full stop."""
    budget = tuning.budget
    head = (
        f"every loss: {counted(budget.trials, 'trial')} of {budget.folds} folds and "
        f"{counted(budget.steps, 'step')} each, {budget.most_steps:,} steps at most"
    )
    taken = [tuning.steps(loss) for loss in tuning.losses if tuning.trials.get(loss)]
    if not taken:
        return head
    states = [trial.result.state for each in tuning.trials.values() for trial in each]
    span = f"{min(taken):,}" if min(taken) == max(taken) else f"{min(taken):,} to {max(taken):,}"
    ended = [
        f"{states.count(state):,} of {len(states):,} trials {words}"
        for state, words in ((STOPPED, "were stopped early"), (DIVERGED, "diverged"))
        if state in states
    ]
    return f"{head}; taken: {span}" + (f", as {' and '.join(ended)}" if ended else "")


def folds_line(tuning: Tuning) -> str:
    """Say what the trials were chosen on, without a full stop."""
    sizes = joined([str(len(fold.labels)) for fold in tuning.folds])
    classes = sum(len(fold.labels) for fold in tuning.folds)
    return (
        f"chosen by {metric(tuning.metric).title}, {VALIDATION}: {sizes} of the {classes} training "
        "classes in turn; no test image is in a fold"
    )


def effects_line(tuned: TunedLosses) -> str:
    """Say how many losses tuning helps, without a full stop."""
    title = metric(tuned.metric).title
    verdicts = [verdict_of(row) for row in tuned.effects.to_dict("records")]
    if not verdicts:
        return "the recommended settings were chosen for every loss"
    if set(verdicts) == {NO_CLAIM}:
        return f"whether tuning helps by {title} cannot be said: {tuned.tuned.no_claim}"
    words = [f"helps {verdicts.count(HELPS)} of {counted(len(verdicts), 'loss', 'losses')}"]
    words.append(f"harms {verdicts.count(HARMS)}")
    words.append(f"and cannot be told for {verdicts.count(CANNOT_TELL)}")
    return f"by {title}, tuning {', '.join(words)} ({effects_family(tuned)})"


def winner_line(tuned: TunedLosses) -> str:
    """Say whether tuning changes who wins, without a full stop."""
    from scipy import stats  # slow to load

    sides = (tuned.recommended, tuned.tuned)
    if any(len(each.summary) < 2 or not each.n_queries for each in sides):
        return ""
    (before, after), title = (
        (each.summary["name"].iloc[0] for each in sides),
        metric(tuned.metric).title,
    )
    first = (
        f"{before} has the highest {title} with recommended and with tuned settings"
        if before == after
        else f"{before} has the highest {title} with recommended settings, {after} once tuned"
    )
    ranks = [each.summary["name"].tolist() for each in sides]
    if len(ranks[0]) < 3:
        return first
    moved = stats.kendalltau(
        [ranks[0].index(name) for name in ranks[0]], [ranks[1].index(name) for name in ranks[0]]
    )
    return f"{first}; the two orders of the losses agree by Kendall's tau = {moved.statistic:.2f}"


def spread_line(tuned: TunedLosses) -> str:
    """Say how far apart the losses lie before and after tuning, without a full stop."""
    sides = (tuned.recommended.summary["mean"], tuned.tuned.summary["mean"])
    if len(sides[0]) < 2 or not all(np.isfinite(side).all() for side in sides):
        return ""
    found = metric(tuned.metric)
    before, after = (found.scale * float(side.max() - side.min()) for side in sides)
    digits, unit = found.digits, points(found)
    return (
        f"the {len(sides[0])} losses lie within {before:.{digits}f}{unit} of each other with "
        f"recommended settings, and within {after:.{digits}f} once tuned"
    )


def agreement_line(tuned: TunedLosses) -> str:
    """Say how well validation foretold the test, without a full stop; empty for few losses."""
    from scipy import stats  # slow to load

    names = [name for name in tuned.tuned.summary["name"] if tuned.tuning.best(name)]
    if len(names) < 4:
        return ""
    of_test = tuned.tuned.summary.set_index("name")["mean"]
    of_validation = [tuned.tuning.best(name).result.value for name in names]  # type: ignore[union-attr]  # chosen above
    found = stats.spearmanr(of_validation, [of_test[name] for name in names])
    return (
        f"validation orders the tuned losses as the test does by Spearman's rho = "
        f"{found.statistic:.2f} (p {format_p(found.pvalue)}, {len(names)} losses)"
    )


def size_line(tuned: TunedLosses) -> str:
    """Say what it takes to resolve the difference seen between the best two; empty if nothing."""
    compared = tuned.tuned
    if compared.no_claim or len(compared.summary) < 2 or not compared.n_queries:
        return ""
    (a, b), means = compared.summary["name"][:2], compared.summary["mean"]
    if not (apart := float(abs(means.iloc[0] - means.iloc[1]))) > 0:
        return ""
    apart = float(f"{apart:.2g}")
    line = plan_line(compared.plan(a, b, apart), metric(tuned.metric), compared.unit)
    return f"the difference seen between {a} and {b}, tuned: {line}"


def conclusions(tuned: TunedLosses) -> list[str]:
    """Return what a tuning comes to, one sentence each, with full stops."""
    said = [
        winner_line(tuned),
        _told("Tuned", tuned.tuned),
        _told("With recommended settings", tuned.recommended),
        effects_line(tuned),
        spread_line(tuned),
        agreement_line(tuned),
        size_line(tuned),
    ]
    return [f"{_capital(line, tuned.tuning.losses)}." for line in said if line]


def _capital(line: str, names: Iterable[str]) -> str:
    """Begin a sentence with a capital, unless it begins with a name."""
    return line if line.startswith(tuple(names)) else line[:1].upper() + line[1:]


def _told(which: str, compared: Comparison) -> str:
    line = headline(compared)
    return f"{which}: {line}" if line else ""


def sources_of(tuned: TunedLosses) -> dict[str, tuple[str, str, float]]:
    """Return what the runs of a tuning were trained with.

    Returns:
        Name of a run -> its loss, ``tuned`` or ``recommended``, and the validation of its settings.
        Runs that are both count as recommended.
    """
    tuning = tuned.tuning
    found: dict[str, tuple[str, str, float]] = {}
    for loss in tuning.losses:
        best = tuning.best(loss)
        values = {
            TUNED: best.result.value if best else np.nan,
            RECOMMENDED: tuning.trials[loss][0].result.value,
        }
        for kind, value in values.items():
            found |= {name: (loss, kind, value) for name in tuning.runs[loss][kind]}
    return found


def title_of(tuning: Tuning) -> str:
    """Return the title of the tables on a tuning."""
    return f"Fair tuning {tuning.name}"


def tables_of(tuned: TunedLosses) -> list[tuple[str, Sequence[str], list[list[str]]]]:
    """Return title, head and rows of the tables on a tuning: the search, and the test."""
    tuning = tuned.tuning
    found = metric(tuned.metric)
    unit = f"{found.title}{',' if points(found) else ''}{points(found)}"
    return [
        (f"{title_of(tuning)}: the search ({budget_line(tuning)}; {folds_line(tuning)})",
         SEARCH_HEAD, search_rows(tuning)),
        (f"{title_of(tuning)}: the test ({unit}; {counted(tuning.budget.seeds, 'seed')}; "
         f"differences {effects_family(tuned)})",
         outcome_head(tuned.metric), outcome_rows(tuned)),
    ]  # fmt: skip


def tuning_table(tuned: TunedLosses) -> pd.DataFrame:
    """Return one row per loss and kind of settings, for files: validation, test and budget.

    Returns:
        Columns ``tuning``, ``loss``, ``settings`` (tuned or recommended), ``point``, ``trials``,
        ``steps``, ``validation``, ``metric``, ``test``, ``low``, ``high``, ``difference``,
        ``difference_low`` and ``difference_high``.
    """
    tuning, rows = tuned.tuning, []
    for kind, compared in ((TUNED, tuned.tuned), (RECOMMENDED, tuned.recommended)):
        for row in compared.summary.to_dict("records"):
            loss = row["name"]
            trial = tuning.best(loss) if kind == TUNED else tuning.trials[loss][0]
            effect = tuned.effect(loss) if kind == TUNED else None
            rows.append(
                {
                    "tuning": tuning.name,
                    "loss": loss,
                    "settings": kind,
                    "point": point_text(trial.point) if trial else "",
                    "trials": len(tuning.trials[loss]),
                    "steps": tuning.steps(loss),
                    "validation": trial.result.value if trial else np.nan,
                    "metric": tuned.metric,
                    "test": row["mean"],
                    "low": row["low"],
                    "high": row["high"],
                    "difference": effect["difference"] if effect else np.nan,
                    "difference_low": effect["low"] if effect else np.nan,
                    "difference_high": effect["high"] if effect else np.nan,
                }
            )
    return pd.DataFrame(rows)
