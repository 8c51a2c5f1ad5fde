"""``retrieval train``: one loss or all, one seed or many, one run after the other.

All runs are checked before the first is trained. One that fails then (it diverged, say) does not
stop the others.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from retrieval.cluster.connection import LOCAL
from retrieval.datasets.catalog import Catalog
from retrieval.errors import UserError, counted
from retrieval.experiment.pipeline import (
    Announce,
    PlannedRun,
    announce_remarks,
    check_finished,
    check_place,
    keep_finished,
    plan_run,
    resume,
    train,
    train_planned,
)
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
    on: str = LOCAL,
    progress: bool = True,
    announce: Announce | None = None,
    on_failure: OnFailure | None = None,
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
        on: Where the workers of ``distribute="workers"`` run, see :func:`train`. Defaults to
            ``local``.
        progress: Show progress bars. Defaults to True.
        announce: Called with each line that a user may want to read. Defaults to None, no call.
        on_failure: Called with the name of each of several runs that fails, and its error, as soon
            as it does. Defaults to None, no call.

    Returns:
        The folders of all runs.

    Raises:
        FailedRuns: Some of several runs failed; the others were trained.
        UserError: Settings, a name or seeds in addition to ``resume_path``; see also :func:`train`
            and :func:`plan_all`.
    """
    if resume_path is not None:
        _check_resumed(changes, name, seeds)
        return [
            resume(
                resume_path,
                checkpoint=checkpoint or "latest",
                overwrite=overwrite,
                evaluate=evaluate,
                progress=progress,
                skip_unreadable=bool(changes.get("skip_unreadable")),
                on=on,
                announce=announce,
            )
        ]
    if checkpoint is not None:
        raise UserError("--checkpoint goes with --resume: add it, or drop --checkpoint")
    wanted = expand(settings_from(changes), seeds)
    if len(wanted) == 1:
        return [
            train(
                wanted[0],
                runs=runs,
                name=name,
                overwrite=overwrite,
                evaluate=evaluate,
                progress=progress,
                on=on,
                announce=announce,
            )
        ]
    for settings in wanted:
        check(settings)
        if settings.loss != UNTRAINED:
            check_place(settings, on)
    labels = ("-".join(filter(None, [name, default_name(one)])) for one in wanted)
    named = dict(zip(map(check_run_name, labels), wanted, strict=True))
    return train_all(
        plan_all(named, runs=runs, overwrite=overwrite, fix=MOVE_OR_OVERWRITE),
        overwrite=overwrite,
        evaluate=evaluate,
        on=on,
        progress=progress,
        announce=announce,
        on_failure=on_failure,
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
    on: str = LOCAL,
    progress: bool = True,
    prefix: str = "",
    announce: Announce | None = None,
    on_failure: OnFailure | None = None,
) -> list[Path]:
    """Train planned runs one after the other, except those that are finished.

    Args:
        planned: The runs; see :func:`plan_all`.
        overwrite: Replace finished runs. Defaults to False.
        evaluate: Embed and evaluate each run after training. Defaults to True.
        on: Where workers run, see :func:`train`. Defaults to ``local``.
        progress: Show progress bars. Defaults to True.
        prefix: Beginning of the error that names the failed runs. Defaults to nothing.
        announce: See :func:`run_session`.
        on_failure: See :func:`run_session`.

    Returns:
        The runs' folders, in order.

    Raises:
        Interrupted: SIGINT or SIGTERM has arrived; later runs are not begun.
        FailedRuns: Some runs failed; the others were trained.
    """
    planned = list(planned)
    if not planned:
        return []
    announce_remarks(planned, announce)
    folders: list[Path] = []
    failed: dict[str, UserError] = {}
    paths = [run.path for run in planned]
    queue = QueueRecord(paths, fingerprint(prefix, *paths))
    for number, run in enumerate(planned, start=1):
        kept = run.path.exists() and not overwrite
        if announce is not None:
            announce(f"[{number}/{len(planned)}] {run.path}{' exists; kept' if kept else ''}")
        try:
            if kept:
                keep_finished(run)
            else:
                train_planned(
                    run,
                    overwrite=overwrite,
                    keep=not overwrite,
                    evaluate=evaluate,
                    on=on,
                    progress=progress,
                    announce=announce,
                )
            if evaluate:
                open_run(run.path)  # one that was kept may be damaged, or not evaluated yet
            folders.append(run.path)
            queue.mark(run.path)
        except KeyboardInterrupt as error:
            left = counted(len(planned) - number, "more run")
            fix = (
                "the same command trains all runs again, as it has --overwrite"
                if overwrite
                else "the same command goes on with all runs"
            )
            error.args = (f"{error or 'interrupted'}. Not begun: {left}; {fix}",)
            raise
        except Exception as error:
            shown = as_user_error(error)
            if shown is None:
                raise
            failed[run.path.name] = shown
            queue.mark(run.path, shown)
            if on_failure is not None:
                on_failure(run.path.name, shown)
    if failed:
        raise FailedRuns(prefix, folders, failed)
    return folders


def _check_resumed(changes: Mapping[str, Any], name: str | None, seeds: int) -> None:
    """Refuse what a resumed run would not follow: it continues with its own settings."""
    given = [name for name in changes if name != "skip_unreadable"]
    given += [*(["name"] if name is not None else []), *(["seeds"] if seeds != 1 else [])]
    if given:
        flags = ", ".join(map(flag_of, given))
        raise UserError(f"--resume continues a run with its own settings: drop {flags}")
