"""``retrieval train``: one loss or all, one seed or many, one run after the other or on a cluster.

All runs are checked before the first is trained. One that fails then (it diverged, say) does not
stop the others.
"""

import contextlib
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrieval.cluster import LOCAL, connected, nodes
from retrieval.datasets.catalog import Catalog
from retrieval.errors import UserError, counted
from retrieval.experiment.making import PlannedRun
from retrieval.experiment.pipeline import (
    Announce,
    announce_remarks,
    check_finished,
    keep_finished,
    plan_run,
    resume,
    train,
    train_planned,
)
from retrieval.experiment.tasks import Place, Watch, make_all, watching
from retrieval.experiment.workers import on_workers
from retrieval.failures import as_user_error
from retrieval.files import fingerprint
from retrieval.runs.mirrors import pull
from retrieval.runs.names import check_run_name, default_name
from retrieval.runs.store import open_run
from retrieval.settings.checks import check, without_loss_settings
from retrieval.settings.recipes import load_recipe
from retrieval.settings.resolve import catalog_of
from retrieval.settings.schema import UNTRAINED, TrainSettings, flag_of
from retrieval.storage.addresses import located
from retrieval.training.interruption import interrupted
from retrieval.training.live import QueueRecord, planned_live

# The losses of the published TensorFlow 1 baseline, which `--loss all` trains.
BASELINE_LOSSES = (
    "semi_hard_triplet",
    "hard_triplet",
    "lifted_loss",
    "npairs_loss",
    "angular_loss",
    "contrastive_loss",
)
ALL_LOSSES = "all"  # the value of `loss` that stands for the untrained network and these
# What to do about a finished run in the way: of a sweep, which never replaces one, and of a train.
MOVE_IT = "move it, or give another --runs"
MOVE_OR_OVERWRITE = "move it, give another --runs, or train with --overwrite"

OnFailure = Callable[[str, UserError], None]  # gets the name of a run and what went wrong


class FailedRuns(UserError):
    """Some of several runs failed; the others are finished.

    Attributes:
        folders: Folders of the finished runs.
        failed: Name of each failed run -> its error.
    """

    def __init__(self, prefix: str, folders: list[Path], failed: dict[str, UserError]) -> None:
        total = counted(len(folders) + len(failed), "run")
        super().__init__(
            f"{prefix}{len(failed)} of {total} failed: {', '.join(failed)}; the same command tries "
            "them again"
        )
        self.folders = folders
        self.failed = failed


def run_session(
    changes: Mapping[str, Any],
    *,
    runs: Path,
    name: str | None = None,
    overwrite: bool = False,
    evaluate: bool = True,
    resume_path: Path | None = None,
    checkpoint: str | None = None,
    seeds: int = 1,
    progress: bool = True,
    announce: Announce | None = None,
    on_failure: OnFailure | None = None,
    place: Place | None = None,
    watch: Watch | None = None,
) -> list[Path]:
    """Train every run that a user asked for.

    Args:
        changes: Settings that differ from the defaults, or from those of a recipe they name.
        runs: Folder that the runs are written to, or its URL.
        name: Name of the run; with several runs, the prefix of their names. Defaults to the loss.
        overwrite: Replace existing runs. Defaults to False: of several runs, those that exist with
            the same settings are kept.
        evaluate: Embed and evaluate each run after training. Defaults to True.
        resume_path: An interrupted run to continue instead. Defaults to None.
        checkpoint: The checkpoint to continue it from; see :func:`resume`. Defaults to None, the
            latest one.
        seeds: Number of repetitions of each loss. Defaults to 1.
        progress: Show progress bars. Defaults to True.
        announce: Called with each line that a user may want to read. Defaults to None, no call.
        on_failure: Called with the name of each of several runs that fails, and its error, as soon
            as it does. Defaults to None, no call.
        place: Where runs are made, or the workers of those that have several; see
            :func:`train_all`. Defaults to None, here.
        watch: See :func:`train_all`. Defaults to None, no call.

    Returns:
        The folders of all runs.

    Raises:
        FailedRuns: Some of several runs failed; the others were trained.
        UserError: Settings, a name or seeds in addition to ``resume_path``; see also :func:`train`
            and :func:`plan_all`.
    """
    place = place or Place()
    if resume_path is not None:
        _check_resumed(changes, name, seeds)
        _check_workers_place(place)
        return [
            resume(
                resume_path,
                checkpoint=checkpoint or "latest",
                overwrite=overwrite,
                evaluate=evaluate,
                progress=progress,
                skip_unreadable=bool(changes.get("skip_unreadable")),
                on=place.on,
                announce=announce,
            )
        ]
    if checkpoint is not None:
        raise UserError("--checkpoint goes with --resume: add it, or drop --checkpoint")
    wanted = expand(settings_from(changes), seeds)
    if any(map(on_workers, wanted)):
        _check_workers_place(place)
    if len(wanted) == 1 and (place.is_local or on_workers(wanted[0])):
        return [
            train(
                wanted[0],
                runs=runs,
                name=name,
                overwrite=overwrite,
                evaluate=evaluate,
                progress=progress,
                on=place.on,
                announce=announce,
            )
        ]
    for settings in wanted:
        check(settings)
    labels = ["-".join(filter(None, [name, default_name(one)])) for one in wanted]
    if len(wanted) == 1 and name is not None:
        labels = [name]
    named = dict(zip(map(check_run_name, labels), wanted, strict=True))
    return train_all(
        plan_all(named, runs=runs, overwrite=overwrite, fix=MOVE_OR_OVERWRITE),
        overwrite=overwrite,
        evaluate=evaluate,
        progress=progress,
        announce=announce,
        on_failure=on_failure,
        place=place,
        watch=watch,
    )


def settings_from(changes: Mapping[str, Any]) -> TrainSettings:
    """Return the default settings, or those of the recipe named, with the user's changes."""
    if changes.get("recipe"):
        rest = {k: v for k, v in changes.items() if k not in ("recipe", "scaled")}
        return load_recipe(changes["recipe"]).train_settings(rest)
    return TrainSettings.from_mapping(changes)


def losses_meant_by(loss: str) -> tuple[str, ...]:
    """Return the losses that ``--loss`` stands for: several for ``all``, else the loss itself."""
    return (UNTRAINED, *BASELINE_LOSSES) if loss == ALL_LOSSES else (loss,)


def expand(settings: TrainSettings, seeds: int) -> list[TrainSettings]:
    """Return the settings of every single run.

    Args:
        settings: What the user asked for; the loss may be ``all``.
        seeds: Number of repetitions, with the seeds ``seed``, ``seed + 1``, ...; the untrained
            network is evaluated once.

    Returns:
        Settings in the order in which the runs are made.
    """
    each = [settings]
    if settings.loss == ALL_LOSSES:
        each = [without_loss_settings(settings)]
        each += [settings.with_(loss=loss) for loss in BASELINE_LOSSES]
    return [
        one.with_(seed=one.seed + repeat)
        for one in each
        for repeat in range(1 if one.loss == UNTRAINED else seeds)
    ]


def plan_all(
    named: Mapping[str, TrainSettings],
    *,
    runs: Path | str,
    overwrite: bool = False,
    prefix: str = "",
    fix: str = MOVE_IT,
) -> list[PlannedRun]:
    """Check every run against its data set, and finished ones against what is asked for.

    Args:
        named: Run name -> settings, both checked.
        runs: Folder that the runs are written to.
        overwrite: Finished runs will be replaced, so that their settings do not matter. Defaults to
            False.
        prefix: Beginning of every error, before the run's name. Defaults to nothing.
        fix: What to do about a finished run with other settings, as the end of the error. Defaults
            to the advice for a command without ``--overwrite``.

    Returns:
        The runs, ready for :func:`train_all`.

    Raises:
        UserError: The first run that could not be trained, by name, and why.
    """
    catalogs: dict[str, Catalog] = {}
    planned = []
    for name, settings in named.items():
        source = repr(
            (settings.dataset, settings.data, settings.dataset_options, settings.skip_unreadable)
        )
        folder = located(runs) / settings.dataset / name
        try:
            pull(folder)
            if source not in catalogs:
                with planned_live(folder, settings):
                    catalogs[source] = catalog_of(settings)
            run = plan_run(settings, folder, catalogs[source])
            if folder.exists() and not overwrite:
                check_finished(folder, run.settings, run.catalog, fix)
        except UserError as error:
            raise UserError(f"{prefix}{name}: {error}") from error
        planned.append(run)
    return planned


def train_all(
    planned: Iterable[PlannedRun],
    *,
    overwrite: bool = False,
    evaluate: bool = True,
    progress: bool = True,
    prefix: str = "",
    announce: Announce | None = None,
    on_failure: OnFailure | None = None,
    place: Place | None = None,
    watch: Watch | None = None,
) -> list[Path]:
    """Train planned runs, except those that are finished.

    Args:
        planned: The runs; see :func:`plan_all`.
        overwrite: Replace finished runs. Defaults to False.
        evaluate: Embed and evaluate each run after training. Defaults to True.
        progress: Show progress bars. Defaults to True.
        prefix: Beginning of the error that names the failed runs. Defaults to nothing.
        announce: See :func:`run_session`.
        on_failure: See :func:`run_session`.
        place: Where they are made. Defaults to None: in this process, one after the other, as are
            runs with several workers, which then run there.
        watch: Called every two seconds with what all runs are at, from another thread, if they are
            made on a cluster. Defaults to None, no call.

    Returns:
        The runs' folders, in order.

    Raises:
        Interrupted: SIGINT or SIGTERM has arrived; later runs are not begun.
        FailedRuns: Some runs failed; the others were trained.
    """
    planned, place = list(planned), place or Place()
    if not planned:
        return []
    announce_remarks(planned, announce)
    paths = [run.path for run in planned]
    queue = QueueRecord(paths, fingerprint(prefix, *paths))
    ledger = _Ledger(queue, evaluate, on_failure)
    # A run with several workers is led by this process, which starts them on the cluster.
    here = place.is_local or any(on_workers(run.settings) for run in planned)
    make = _make_here if here else _make_on_cluster
    make(
        planned,
        ledger,
        _Wishes(place, overwrite, evaluate, progress, announce or _say_nothing, watch),
    )
    folders = [path for path in paths if path in ledger.made]
    if ledger.failed:
        raise FailedRuns(prefix, folders, ledger.failed)
    return folders


@dataclass(frozen=True)
class _Wishes:
    """How runs are made, see :func:`train_all`."""

    place: Place
    overwrite: bool
    evaluate: bool
    progress: bool
    announce: Announce
    watch: Watch | None


class _Ledger:
    """What has become of each of several runs."""

    def __init__(self, queue: QueueRecord, evaluate: bool, on_failure: OnFailure | None) -> None:
        self.queue, self.evaluate, self.on_failure = queue, evaluate, on_failure
        self.made: set[Path] = set()
        self.failed: dict[str, UserError] = {}

    def note(self, path: Path, make: Callable[[], object]) -> None:
        """Make a run and note what has become of it; only a mistake of the program is raised."""
        try:
            make()
            if self.evaluate:
                open_run(path)  # one that was kept may be damaged, or not evaluated yet
            self.made.add(path)
            self.queue.mark(path)
        except Exception as error:
            shown = as_user_error(error)
            if shown is None:
                raise
            self.failed[path.name] = shown
            self.queue.mark(path, shown)
            if self.on_failure is not None:
                self.on_failure(path.name, shown)

    def counted(self) -> tuple[int, int]:
        """Return how many runs are finished, and how many failed."""
        return len(self.made), len(self.failed)


def _say_nothing(line: str) -> None:
    """Nobody listens."""


def _make_here(planned: Sequence[PlannedRun], ledger: _Ledger, wishes: _Wishes) -> None:
    """Make runs in this process, one after the other."""
    for number, run in enumerate(planned, start=1):
        kept = run.path.exists() and not wishes.overwrite
        head = f"[{number}/{len(planned)}] {run.path}"
        wishes.announce(f"{head} exists; kept" if kept else head)
        make = functools.partial(keep_finished, run)
        if not kept:
            make = functools.partial(
                train_planned,
                run,
                overwrite=wishes.overwrite,
                keep=not wishes.overwrite,
                evaluate=wishes.evaluate,
                on=wishes.place.on if on_workers(run.settings) else LOCAL,
                progress=wishes.progress,
                announce=wishes.announce,
            )
        try:
            ledger.note(run.path, make)
        except KeyboardInterrupt as error:
            if left := len(planned) - number:
                words = f"Not begun: {counted(left, 'more run')}; {_fix(wishes)}"
                raise interrupted(error, f". {words}") from None
            raise


def _make_on_cluster(planned: Sequence[PlannedRun], ledger: _Ledger, wishes: _Wishes) -> None:
    """Make runs as tasks of a cluster, except those that are finished."""
    todo = []
    for run in planned:
        if run.path.exists() and not wishes.overwrite:
            wishes.announce(f"{run.path} exists; kept")
            ledger.note(run.path, functools.partial(keep_finished, run))
        else:
            todo.append(run)
    if not todo:
        return
    paths = [run.path for run in planned]
    with connected(wishes.place.on):
        size = wishes.place.resources()
        found = nodes()
        wishes.announce(
            f"{counted(len(todo), 'run')} with {size} each on {counted(len(found), 'node')}: "
            f"{', '.join(map(str, found))}; up to {sum(map(size.copies, found))} at a time"
        )
        outcomes = make_all(
            todo, wishes.place, overwrite=wishes.overwrite, evaluate=wishes.evaluate
        )
        try:
            with (
                watching(paths, ledger.counted, wishes.watch),
                contextlib.closing(outcomes),
            ):
                for run, error in outcomes:
                    ledger.note(run.path, functools.partial(_raise, error, wishes.announce))
        except KeyboardInterrupt as error:
            left = counted(len(planned) - sum(ledger.counted()), "run")
            raise interrupted(error, f". Not finished: {left}; {_fix(wishes)}") from None


def _raise(error: Exception | None, announce: Announce) -> None:
    """Raise what a run failed with; a mistake of the program stops no other run."""
    if error is None:
        return
    if as_user_error(error) is None:
        announce("\n".join([*getattr(error, "__notes__", [])]))
        raise UserError(f"{type(error).__name__}: {error} (a mistake of this program)") from error
    raise error


def _fix(wishes: _Wishes) -> str:
    if wishes.overwrite:
        return "the same command trains all runs again, as it has --overwrite"
    return "the same command goes on with all runs"


def _check_workers_place(place: Place) -> None:
    """Refuse what only runs side by side would follow, where a cluster makes one run."""
    if place.of_cluster:
        raise UserError(
            "the workers of one run share the whole cluster equally, and are begun again as often "
            f"as need be: drop {', '.join(place.of_cluster)}"
        )


def _check_resumed(changes: Mapping[str, Any], name: str | None, seeds: int) -> None:
    """Refuse what a resumed run would not follow: it continues with its own settings."""
    given = [name for name in changes if name != "skip_unreadable"]
    given += [*(["name"] if name is not None else []), *(["seeds"] if seeds != 1 else [])]
    if given:
        flags = ", ".join(map(flag_of, given))
        raise UserError(f"--resume continues a run with its own settings: drop {flags}")
