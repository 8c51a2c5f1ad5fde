"""``retrieval tune``: search every loss's space with one budget, then train what was chosen.

The trials never see the test split: they are trained and evaluated on folds of the training
classes. What is chosen is then trained on all training classes with several seeds and tested once,
beside the recommended settings with the same seeds.
"""

import contextlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrieval.cluster import connected, run_tasks
from retrieval.datasets.catalog import Catalog
from retrieval.errors import UserError, counted, unknown_option
from retrieval.evaluation.metrics import measured_in_training, metric
from retrieval.experiment.pipeline import Announce
from retrieval.experiment.session import (
    BASELINE_LOSSES,
    OnFailure,
    plan_all,
    settings_from,
    train_all,
)
from retrieval.experiment.tasks import Place, Watch
from retrieval.files import file_lock
from retrieval.losses import LOSSES
from retrieval.losses.registry import recommended_point, search_space
from retrieval.progress import progress_bar
from retrieval.runs.names import check_run_name
from retrieval.runs.tuning import (
    FILE,
    PLANNED,
    RECOMMENDED,
    TUNED,
    Budget,
    Fold,
    TrialResult,
    Tuning,
    digest_of,
    read_tuning,
    shared_settings,
    tuning_folder,
    write_tuning,
)
from retrieval.runs.writing import describe_dataset
from retrieval.settings.checks import check
from retrieval.settings.schema import TrainSettings, default_of, flag_of
from retrieval.training.interruption import interrupted, stoppable
from retrieval.tuning.folds import make_folds
from retrieval.tuning.search import Pending, Search, check_installed, least_values, open_storage
from retrieval.tuning.space import settings_of
from retrieval.tuning.tasks import trial_task
from retrieval.tuning.trial import CHECKS, catalog_of_trials, prepare, run_trial
from retrieval.validation import check_choice, check_integer

DEFAULT_NAME, DEFAULT_METRIC = "tuning", "map@r"
DEFAULT_TRIALS, DEFAULT_FOLDS, DEFAULT_SEEDS, DEFAULT_AT_ONCE = 40, 3, 3, 5
ALL, BASELINE = "all", "baseline"  # what `--losses` also understands
# Settings that the search itself sets, or that would choose a network by figures of its own.
SEARCHED = ("loss", "loss_options", "loss_multiplier", "normalize", "recipe")
SELECTING = ("eval_split", "validation_fraction", "monitor", "patience", "use_checkpoint")
NOT_CHOSEN = ("nmi",)  # by k-means, which takes longer than a trial's evaluation


def losses_of(text: str) -> tuple[str, ...]:
    """Return the losses that ``--losses`` stands for.

    Args:
        text: Names separated by commas; ``all`` for every loss, ``baseline`` for the six of the
            published baseline.

    Raises:
        UserError: A name is unknown, or there is none.
    """
    if text == ALL:
        return tuple(LOSSES)
    if text == BASELINE:
        return BASELINE_LOSSES
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise UserError("--losses: name some, separated by commas, or give all or baseline")
    for name in names:
        if name not in LOSSES:
            raise unknown_option("loss", name, [*LOSSES, ALL, BASELINE])
    return names


@dataclass(frozen=True)
class Plan:
    """A tuning that is ready to begin.

    Attributes:
        changes: Settings that the user gave.
        base: Settings that all trials and runs share.
        folder: Folder of the record and of the trials' journal.
        tuning: The record, without trials.
        catalog: The data set.
    """

    changes: Mapping[str, Any]
    base: TrainSettings
    folder: Path
    tuning: Tuning
    catalog: Catalog

    def settings(self, loss: str, point: Mapping[str, Any]) -> TrainSettings:
        """Return the settings of a loss at a point of its space; none for the recommended one."""
        return settings_from({**self.changes, "loss": loss, **settings_of(loss, point)})

    def runs(self, loss: str, kind: str, point: Mapping[str, Any]) -> dict[str, TrainSettings]:
        """Return the runs of a loss at a point: name -> settings, one per seed.

        Args:
            loss: One of the losses.
            kind: ``tuned`` or ``recommended``.
            point: See :meth:`settings`.

        Raises:
            UserError: The settings are not valid.
        """
        settings = self.settings(loss, point)
        check(settings)
        return {
            run_name(self.tuning.name, loss, kind, seed): settings.with_(seed=seed)
            for seed in range(settings.seed, settings.seed + self.tuning.budget.seeds)
        }


def tune(
    changes: Mapping[str, Any],
    *,
    losses: Sequence[str],
    trials: int = DEFAULT_TRIALS,
    folds: int = DEFAULT_FOLDS,
    seeds: int = DEFAULT_SEEDS,
    metric: str = DEFAULT_METRIC,
    name: str = DEFAULT_NAME,
    at_once: int = DEFAULT_AT_ONCE,
    early_stopping: bool = True,
    runs: Path | str = "runs",
    progress: bool = True,
    announce: Announce | None = None,
    on_failure: OnFailure | None = None,
    place: Place | None = None,
    watch: Watch | None = None,
) -> Tuning:
    """Tune losses with one budget, or go on where an interrupted call was.

    Args:
        changes: Settings that differ from the defaults, those of the loss left out.
        losses: Names of the losses.
        trials: Trials of each loss; the first is the recommended settings. Defaults to 40.
        folds: Class-disjoint folds of the training classes. Defaults to 3.
        seeds: Runs of the chosen, and of the recommended, settings. Defaults to 3.
        metric: What the trials are chosen by: MAP@R or a Recall@K. Defaults to ``map@r``.
        name: Name of the tuning, and the beginning of its runs' names. Defaults to ``tuning``.
        at_once: Trials of a generation, which are chosen together. It shapes the search, wherever
            the trials run. Defaults to 5.
        early_stopping: Whether a trial is stopped where it is worse than the median of the earlier
            ones. Defaults to True.
        runs: Folder of runs. Defaults to ``runs``.
        progress: Show progress bars. Defaults to True.
        announce: Called with each line that a user may want to read. Defaults to None, no call.
        on_failure: Called with the name and the error of each run that fails. Defaults to None, no
            call.
        place: Where trials and runs are made. Defaults to None: in this process, one after the
            other. What comes out does not depend on it.
        watch: See :func:`retrieval.experiment.session.train_all`. Defaults to None, no call.

    Returns:
        The record, which is also written to ``runs/<data set>/.tuning/<name>/tuning.json``.

    Raises:
        UserError: Bad settings or data, Optuna is not installed, another tuning has this name, no
            trial of a loss came to an end, or some runs failed.
    """
    check_installed()
    plan = make_plan(
        changes,
        losses=losses,
        trials=trials,
        folds=folds,
        seeds=seeds,
        metric=metric,
        name=name,
        at_once=at_once,
        early_stopping=early_stopping,
        runs=runs,
    )
    place = place or Place()
    with stoppable(), _locked(plan.folder):
        check_same(plan)
        plan_recommended(plan, runs)
        with contextlib.nullcontext() if place.is_local else connected(place.on):
            prepare(plan.base)  # which may take hours: a cluster must have been reached
            try:
                tuning = search(plan, place, progress=progress, announce=announce)
            except KeyboardInterrupt as error:
                words = f"finished trials are in {plan.folder}; the same command goes on"
                raise interrupted(error, f": {words}") from None
            return train_chosen(
                plan,
                tuning,
                place,
                runs=runs,
                progress=progress,
                announce=announce,
                on_failure=on_failure,
                watch=watch,
            )


def make_plan(
    changes: Mapping[str, Any],
    *,
    losses: Sequence[str],
    trials: int,
    folds: int,
    seeds: int,
    metric: str,
    name: str,
    at_once: int,
    early_stopping: bool,
    runs: Path | str,
) -> Plan:
    """Check everything that was asked for, and deal the folds.

    Args:
        changes: Settings that differ from the defaults.
        losses: Names of the losses.
        trials: Trials of each loss.
        folds: Number of folds.
        seeds: Number of runs of the chosen settings.
        metric: What the trials are chosen by.
        name: Name of the tuning.
        at_once: Trials of a generation.
        early_stopping: Whether hopeless trials are stopped.
        runs: Folder of runs.

    Returns:
        The plan.

    Raises:
        UserError: A setting, name or number is not valid, or the data set is too small.
    """
    for number, low, flag in (
        (trials, 2, "trials"), (folds, 2, "folds"), (seeds, 1, "seeds"), (at_once, 1, "at-once"),
    ):  # fmt: skip
        check_integer(f"--{flag}", number, least=low)
    if not losses:
        raise UserError("--losses: name some")
    _check_changes(changes)
    check_run_name(name)
    base = settings_from({**changes, "loss": losses[0]})
    names = [each for each in measured_in_training() if each not in NOT_CHOSEN]
    check_choice("--metric", metric, names)
    for loss in losses:
        check(settings_from({**changes, "loss": loss}))
        for each, dimension in search_space(loss).items():
            value = recommended_point(loss, base.learning_rate)[each]
            if not dimension.holds(value):
                raise UserError(
                    f"{flag_of(each)} {value:g} is outside of what is searched, {dimension}: the "
                    "first trial is to be in the space; give a value within"
                )
    catalog = catalog_of_trials(base)
    dealt = make_folds(catalog, folds, base.seed)
    budget = Budget(trials, folds, base.steps, CHECKS, at_once, seeds, early_stopping)
    settings = shared_settings(base.with_(loss=default_of("loss")))
    spaces = {
        loss: {each: str(dimension) for each, dimension in search_space(loss).items()}
        for loss in losses
    }
    tuning = Tuning(
        dataset=base.dataset,
        name=name,
        metric=metric,
        seed=base.seed,
        budget=budget,
        settings=settings,
        spaces=spaces,
        sources={loss: LOSSES[loss].space.source for loss in losses},
        folds=tuple(_described(catalog, labels) for labels in dealt),
        digest="",
    )
    items = catalog.items.loc[catalog.items["split"] != "test", ["path", "label"]]
    facts = items.astype(str).agg(" ".join, axis=1).tolist()
    digest = digest_of(tuning, facts)
    folder = tuning_folder(runs, base.dataset, name)
    return Plan(dict(changes), base, folder, tuning.with_(digest=digest), catalog)


def _check_changes(changes: Mapping[str, Any]) -> None:
    """Refuse settings that are searched, or that select by figures of their own."""
    for name in SEARCHED:
        if name in changes:
            raise UserError(
                f"{flag_of(name)} has no place in a tuning, which searches every loss of --losses: "
                "drop it"
            )
    if changes.get("distribute", "none") != "none":
        raise UserError(
            "--distribute has no place in a tuning, whose trials run side by side with --on ray: "
            "drop it"
        )
    for name in SELECTING:
        if name in changes and changes[name] != default_of(name):
            raise UserError(
                f"{flag_of(name)} has no place in a tuning, which selects by --metric on its folds "
                "and takes the last step: drop it"
            )


def _described(catalog: Catalog, labels: Sequence[int]) -> Fold:
    rows = catalog.items[catalog.items["label"].isin(labels)]
    named = rows.drop_duplicates("label").set_index("label")["label_name"]
    return Fold(tuple(labels), tuple(str(named[label]) for label in labels), len(rows))


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock a tuning for the block: one process chooses the points of its trials."""
    try:
        with file_lock(folder.with_name(f".{folder.name}.lock"), wait=False):
            folder.mkdir(parents=True, exist_ok=True)
            yield
    except TimeoutError as error:
        raise UserError(
            f"{folder}: another process is at this tuning: wait for it, or give another --out"
        ) from error


def check_same(plan: Plan) -> None:
    """Refuse to go on with a tuning of another plan or other data.

    Raises:
        UserError: Names what differs.
    """
    if not (plan.folder / FILE).exists():
        write_tuning(plan.folder, plan.tuning)
        return
    there, wanted = read_tuning(plan.folder), plan.tuning
    if there.digest == wanted.digest:
        return
    differ = [part for part in PLANNED if getattr(there, part) != getattr(wanted, part)]
    raise UserError(
        f"{plan.folder} holds a tuning with another {', '.join(differ) or 'data set'}: give "
        "another --out, or move it"
    )


def plan_recommended(plan: Plan, runs: Path | str) -> None:
    """Refuse before the first trial what would be refused after the last one.

    The runs with the recommended settings are trained whatever the search finds: their data and
    their names must do.

    Args:
        plan: The plan.
        runs: Folder of runs.

    Raises:
        UserError: The first run that could not be trained, by name, and why.
    """
    named: dict[str, TrainSettings] = {}
    for loss in plan.tuning.losses:
        named |= plan.runs(loss, RECOMMENDED, {})
    plan_all(named, runs=runs, prefix=f"tuning {plan.tuning.name}: ")


def search(plan: Plan, place: Place, *, progress: bool, announce: Announce | None) -> Tuning:
    """Make all trials of all losses, generation by generation, and record them.

    Args:
        plan: The plan.
        place: Where the trials run.
        progress: Whether to show a progress bar.
        announce: Called with a line for each generation of a loss.

    Returns:
        The record with all trials.
    """
    tuning, storage = plan.tuning, open_storage(plan.folder)
    budget = tuning.budget
    searches = [
        Search(
            storage,
            loss,
            search_space(loss),
            recommended_point(loss, plan.base.learning_rate),
            trials=budget.trials,
            at_once=budget.at_once,
            seed=tuning.seed,
            digest=tuning.digest,
        )
        for loss in tuning.losses
    ]
    done = sum(len(each.told()) for each in searches)
    total = budget.trials * len(searches)
    with progress_bar("trials", total, done=done, show=progress, unit="trial") as advance:
        while left := [each for each in searches if not each.is_done()]:
            # Those that are behind, if a generation was interrupted.
            fewest = min(len(each.told()) for each in left)
            present = [each for each in left if len(each.told()) == fewest]
            pending = {each.loss: each.generation() for each in present}
            with contextlib.closing(evaluated(plan, place, present, pending)) as results:
                for one, number, result in results:
                    one.keep(number, result)
                    advance(1)
            for one in present:
                one.tell()
            trials = {each.loss: each.told() for each in searches}
            tuning = tuning.with_(trials=trials)
            write_tuning(plan.folder, tuning)
            if announce is not None:
                for one in present:
                    announce(_progress_line(tuning, one.loss))
    return tuning.with_(trials={each.loss: each.told() for each in searches})


def evaluated(
    plan: Plan, place: Place, searches: Sequence[Search], pending: Mapping[str, Sequence[Pending]]
) -> Generator[tuple[Search, int, TrialResult], None, None]:
    """Run the trials of a generation that have no result yet.

    Args:
        plan: The plan.
        place: Where they run: here one after the other, or as tasks of the cluster that this
            process is connected to.
        searches: The losses at that generation.
        pending: Loss -> its trials.

    Yields:
        The loss's search, the number of the trial and its result, as they end.

    Raises:
        UserError: A trial could not be run, e.g. as its node was lost too often.
    """
    left = [(one, trial) for one in searches for trial in pending[one.loss] if trial.result is None]
    calls = [_arguments(plan, one, trial) for one, trial in left]
    if place.is_local:
        for (one, trial), arguments in zip(left, calls, strict=True):
            yield one, trial.number, run_trial(**arguments)
        return
    dataset = describe_dataset(plan.catalog)
    tasks = [{"dataset": dataset, **arguments} for arguments in calls]
    outcomes = run_tasks(trial_task, tasks, resources=place.resources(), retries=place.retries)
    with contextlib.closing(outcomes):
        errors = []
        for outcome in outcomes:
            one, trial = left[outcome.index]
            if outcome.error is None:
                yield one, trial.number, outcome.value
            else:
                errors.append(outcome.error)
    if errors:  # the others of the generation have their results
        raise errors[0]


def _arguments(plan: Plan, one: Search, trial: Pending) -> dict[str, Any]:
    """Return what a trial depends on, and nothing else does."""
    tuning = plan.tuning
    checks = tuning.budget.folds * tuning.budget.checks
    earlier = one.told() if tuning.budget.early_stopping else ()
    return {
        "base": plan.base.to_mapping(),
        "changes": {"loss": one.loss, **settings_of(one.loss, trial.point)},
        "folds": tuple(fold.labels for fold in tuning.folds),
        "metric": tuning.metric,
        "least": least_values(earlier, checks),
    }


def _progress_line(tuning: Tuning, loss: str) -> str:
    trials, found = tuning.trials[loss], metric(tuning.metric)
    best = tuning.best(loss)
    words = [f"{loss}: {len(trials)} of {counted(tuning.budget.trials, 'trial')}"]
    if best is not None:
        words.append(f"best {found.title} {found.format(best.result.value)}")
        words.append(f"recommended {found.format(trials[0].result.value)}")
    stopped = sum(trial.result.state != "complete" for trial in trials)
    if stopped:
        words.append(f"{stopped} stopped early")
    return ", ".join(words)


def train_chosen(
    plan: Plan,
    tuning: Tuning,
    place: Place,
    *,
    runs: Path | str,
    progress: bool,
    announce: Announce | None,
    on_failure: OnFailure | None,
    watch: Watch | None,
) -> Tuning:
    """Train the chosen and the recommended settings of every loss, and test each run once.

    Args:
        plan: The plan.
        tuning: The record with all trials.
        place: Where the runs are made.
        runs: Folder of runs.
        progress: See :func:`tune`.
        announce: See :func:`tune`.
        on_failure: See :func:`tune`.
        watch: See :func:`tune`.

    Returns:
        The finished record.

    Raises:
        UserError: No trial of a loss came to an end.
        FailedRuns: Some runs failed; the others were trained.
    """
    named: dict[str, TrainSettings] = {}
    recorded: dict[str, dict[str, tuple[str, ...]]] = {}
    for loss in tuning.losses:
        best = tuning.best(loss)
        if best is None:
            raise UserError(
                f"{loss}: every trial diverged, so nothing can be chosen: lower --learning-rate, "
                "or set --clip-norm"
            )
        points: dict[str, Mapping[str, Any]] = {RECOMMENDED: {}}
        if best.number:
            points = {TUNED: best.point, **points}
        recorded[loss] = {}
        for kind, point in points.items():
            seeded = plan.runs(loss, kind, point)
            named |= seeded
            recorded[loss][kind] = tuple(seeded)
        recorded[loss].setdefault(TUNED, recorded[loss][RECOMMENDED])
    tuning = tuning.with_(runs=recorded)
    write_tuning(plan.folder, tuning)
    planned = plan_all(named, runs=runs, prefix=f"tuning {tuning.name}: ")
    train_all(
        planned,
        progress=progress,
        prefix=f"tuning {tuning.name}: ",
        announce=announce,
        on_failure=on_failure,
        place=place,
        watch=watch,
    )
    tuning = tuning.with_(finished=True)
    write_tuning(plan.folder, tuning)
    return tuning


def run_name(name: str, loss: str, kind: str, seed: int) -> str:
    """Return the name of a run, such as ``tuning-npairs_loss-tuned-seed1``."""
    return check_run_name(f"{name}-{loss}-{kind}" + (f"-seed{seed}" if seed else ""))
