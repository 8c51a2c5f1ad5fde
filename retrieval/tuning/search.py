"""The search over one loss's space: Optuna's TPE, in generations, on a journal of trials.

A generation's points are chosen together, from the results of the earlier generations alone, and
its results are told in the order of their numbers. Each point's sampler has a seed of its own, made
from the number of the trial. So the points do not depend on where the trials ran, which ended
first, how often the search was killed, or who went on with it.
"""

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from retrieval.errors import UserError, how_to_install
from retrieval.files import fingerprint, remove
from retrieval.losses.search_space import Dimension
from retrieval.runs.tuning import COMPLETE, DIVERGED, Trial, TrialResult
from retrieval.tuning.space import distribution

if TYPE_CHECKING:
    import optuna

JOURNAL = "journal.log"
DIGEST = "digest"  # attribute of a study: the plan and the data that its trials were made with
RESULT = "result"  # attribute of a trial that holds its result before it is told


def check_installed() -> None:
    """Refuse to tune without Optuna, which a search needs only after hours of features.

    Raises:
        UserError: It is not installed.
    """
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise UserError(f"tuning needs Optuna: {how_to_install('cluster')}") from error


def open_storage(folder: Path) -> "optuna.storages.BaseStorage":
    """Open the journal of a tuning, and mend what a killed process left of it.

    Args:
        folder: The tuning's folder, which this process has locked.

    Raises:
        UserError: The journal is damaged.
    """
    import optuna
    from optuna.storages import journal

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    file = folder / JOURNAL
    for left in folder.glob(f"{JOURNAL}.*"):  # its lock, which Optuna would wait for
        remove(left)
    if file.exists():
        content = file.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):  # a line that was cut short
            with file.open("r+b") as opened:
                opened.truncate(whole)
    try:
        return journal.JournalStorage(journal.JournalFileBackend(str(file)))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, AssertionError) as error:
        raise UserError(
            f"{file}: damaged, no journal of trials: remove it, and the trials are made again"
        ) from error


@dataclass(frozen=True)
class Pending:
    """A trial that has a point.

    Attributes:
        number: Place among the trials of its loss.
        point: Name -> value.
        result: What it came to; None before that.
    """

    number: int
    point: dict[str, Any]
    result: TrialResult | None


class Search:
    """The trials of one loss.

    Args:
        storage: See :func:`open_storage`.
        loss: The loss, whose name is the study's.
        space: Name -> what is searched.
        recommended: The first point.
        trials: Number of trials.
        at_once: Number of trials of a generation.
        seed: Seed of the search.
        digest: Fingerprint of the plan and of the data, which the journal keeps.

    Raises:
        UserError: The journal has trials of another plan or other data, or trials without a result.
    """

    def __init__(
        self,
        storage: "optuna.storages.BaseStorage",
        loss: str,
        space: Mapping[str, Dimension],
        recommended: Mapping[str, Any],
        *,
        trials: int,
        at_once: int,
        seed: int,
        digest: str,
    ) -> None:
        import optuna

        self.loss, self.recommended, self.seed = loss, dict(recommended), seed
        self.trials, self.at_once = trials, at_once
        self.distributions = {name: distribution(each) for name, each in space.items()}
        self.study = optuna.create_study(
            storage=storage, study_name=loss, direction="maximize", load_if_exists=True
        )
        self._check_plan(digest)

    def _check_plan(self, digest: str) -> None:
        """Keep whose trials these are; refuse those of another plan, e.g. of a removed record."""
        kept = self.study.user_attrs.get(DIGEST)
        if kept is None and not self.study.get_trials(deepcopy=False):
            self.study.set_user_attr(DIGEST, digest)
        elif kept not in (None, digest):
            raise UserError(
                f"{JOURNAL} has trials of {self.loss} with another plan or other data: give "
                "another --out, or remove it"
            )
        for each in self._asked():
            if each.state.is_finished() and RESULT not in each.user_attrs:
                raise UserError(
                    f"{JOURNAL} is damaged: trial {each.number} of {self.loss} has no result: "
                    "remove it, and the trials are made again"
                )

    def told(self) -> tuple[Trial, ...]:
        """Return the trials of the earlier generations and their results, in order."""
        return tuple(
            Trial(number, _point(each), _result(each))
            for number, each in enumerate(self._asked())
            if each.state.is_finished()
        )

    def is_done(self) -> bool:
        """Tell whether all trials are made."""
        return len(self.told()) >= self.trials

    def generation(self) -> list[Pending]:
        """Return the trials of the present generation; choose the points that it still lacks."""
        self._drop_half_asked()
        first = len(self.told()) // self.at_once * self.at_once
        last = min(first + self.at_once, self.trials)
        for number in range(len(self._asked()), last):
            self._ask(number)
        return [
            Pending(number, _point(each), _result(each) if RESULT in each.user_attrs else None)
            for number, each in enumerate(self._asked())
            if first <= number < last
        ]

    def keep(self, number: int, result: TrialResult) -> None:
        """Store the result of a trial of the present generation, in whatever order they come."""
        import optuna

        trial = optuna.trial.Trial(self.study, self._asked()[number]._trial_id)
        trial.set_user_attr(RESULT, json.dumps(asdict(result)))

    def tell(self) -> None:
        """Tell the sampler the results of the present generation, all of which are stored."""
        import optuna

        for each in self._asked():
            if each.state.is_finished():
                continue
            result = _result(each)
            if result.state == COMPLETE:
                self.study.tell(each.number, result.value)
                continue
            trial = optuna.trial.Trial(self.study, each._trial_id)
            checks = [0.0] if result.state == DIVERGED else result.checks
            for step, value in enumerate(checks):
                trial.report(value, step)
            self.study.tell(each.number, state=optuna.trial.TrialState.PRUNED)

    def _asked(self) -> list["optuna.trial.FrozenTrial"]:
        """Return Optuna's trials in order, without those that were given up."""
        from optuna.trial import TrialState

        kept = (TrialState.RUNNING, TrialState.COMPLETE, TrialState.PRUNED)
        return self.study.get_trials(deepcopy=False, states=kept)

    def _drop_half_asked(self) -> None:
        """Give up a trial whose point a killed process had only begun to store."""
        from optuna.trial import TrialState

        for each in self._asked():
            if set(each.params) != set(self.distributions):
                self.study.tell(each.number, state=TrialState.FAIL)

    def _ask(self, number: int) -> None:
        """Choose the point of the next trial."""
        import optuna

        seed = int(fingerprint(self.seed, self.loss, number)[:8], 16)
        sampler: optuna.samplers.BaseSampler = optuna.samplers.TPESampler(seed=seed)
        if number == 0:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                sampler = optuna.samplers.PartialFixedSampler(self.recommended, sampler)
        self.study.sampler = sampler
        self.study.ask(self.distributions)


def _point(trial: "optuna.trial.FrozenTrial") -> dict[str, Any]:
    return dict(trial.params)


def _result(trial: "optuna.trial.FrozenTrial") -> TrialResult:
    content = json.loads(trial.user_attrs[RESULT])
    return TrialResult(**content | {"values": tuple(map(tuple, content["values"]))})


def least_values(earlier: Sequence[Trial], checks: int) -> list[float | None]:
    """Return the value that a trial must reach at each evaluation not to be stopped.

    It is the median of the earlier trials. Those stopped before that evaluation, or diverged, count
    as worse than any that reached it: so half of the trials at most are stopped, and not half of
    what is left at every evaluation.

    Args:
        earlier: Trials of the earlier generations.
        checks: Number of evaluations of a trial.

    Returns:
        A value for each evaluation; None where all may go on: there are no earlier trials.
    """
    bounds: list[float | None] = []
    for place in range(checks):
        values = sorted(
            (t.result.checks[place] if place < len(t.result.checks) else -np.inf for t in earlier),
            reverse=True,
        )
        middle = values[(len(values) - 1) // 2] if values else -np.inf
        bounds.append(float(middle) if np.isfinite(middle) else None)
    return bounds
