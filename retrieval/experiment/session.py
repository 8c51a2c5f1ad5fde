"""What ``retrieval train`` does: one loss or all, one seed or many, then a table of results.

Many runs, one after the other: all are checked first, and one that fails stops no other.
"""

import sys
import time
from pathlib import Path

from retrieval.datasets import load_catalog
from retrieval.datasets.catalog import Catalog
from retrieval.errors import UserError, counted
from retrieval.experiment.pipeline import check_devices, resume, train
from retrieval.report.terminal import print_runs
from retrieval.runs.names import check_run_name, default_name
from retrieval.runs.resume import dataset_changes
from retrieval.runs.run import Run
from retrieval.runs.store import open_run
from retrieval.settings.checks import check_names, without_loss_settings
from retrieval.settings.identity import differing
from retrieval.settings.recipes import load_recipe
from retrieval.settings.resolve import resolve
from retrieval.settings.schema import UNTRAINED, TrainSettings

FIX = "move it, or give another --runs"


def check_all(
    wanted: dict[str, TrainSettings],
    *,
    runs: Path | str,
    overwrite: bool = False,
    where: str = "",
    fix: str = FIX,
) -> None:
    """Check every run against its data set, and the finished ones against what is asked for.

    Args:
        wanted: Run name -> settings, whose names are checked.
        runs: Folder of runs.
        overwrite: Finished runs are to be replaced: they are not looked at.
        where: What an error begins with, before the run's name.
        fix: What to do about a finished run with other settings.

    Raises:
        UserError: The first run that could not be trained, by name, and why.
    """
    catalogs: dict[str, Catalog] = {}
    for name, settings in wanted.items():
        source = repr((settings.dataset, settings.data, settings.dataset_options))
        folder = Path(runs) / settings.dataset / name
        try:
            if source not in catalogs:
                catalogs[source] = load_catalog(
                    settings.dataset, settings.data, **settings.dataset_options
                )
            resolved = resolve(settings, catalogs[source])
            check_devices(resolved)
            if folder.exists() and not overwrite:
                check_finished(folder, resolved, catalogs[source], fix)
        except UserError as error:
            raise UserError(f"{where}{name}: {error}") from error


def check_finished(folder: Path, now: TrainSettings, catalog: Catalog, fix: str = FIX) -> None:
    """Check that a finished run is the one that is asked for.

    Args:
        folder: The run's folder.
        now: The settings asked for, resolved.
        catalog: The data set asked for.
        fix: What to do about another run.

    Raises:
        UserError: The run was made with other settings or other data, which are named.
    """
    run = Run(folder)
    if not (folder / "config.yaml").exists() or run.settings is None:
        raise UserError(f"{folder} exists, but was not trained: {fix}")
    before = run.network_settings()
    if names := differing(before, now):
        shown = ", ".join(f"{k} = {getattr(before, k)}, now {getattr(now, k)}" for k in names)
        raise UserError(f"{folder} was trained with other settings ({shown}): {fix}")
    if facts := dataset_changes(run.dataset_config, catalog):
        raise UserError(f"{folder} was trained on other data ({', '.join(facts)} differ): {fix}")


def train_all(
    wanted: dict[str, TrainSettings],
    *,
    runs: Path | str,
    overwrite: bool = False,
    evaluate: bool = True,
    progress: bool = True,
    where: str = "",
) -> list[Path]:
    """Train what is not finished, one run after the other, and print the figures of all.

    Args:
        wanted: Run name -> settings, as :func:`check_all` checked them.
        runs: Folder of runs.
        overwrite: Replace finished runs.
        evaluate: Embed and evaluate each.
        progress: Show progress bars.
        where: What an error begins with, before the run's name.

    Returns:
        The runs' folders, in order.

    Raises:
        UserError: Some runs failed; names them. The error of each was printed when it failed, and
            the others were trained.
    """
    folders, failed = [], []
    for number, (name, settings) in enumerate(wanted.items(), start=1):
        folder = Path(runs) / settings.dataset / name
        done = folder.exists() and not overwrite
        print(f"[{number}/{len(wanted)}] {folder}{' exists; kept' if done else ''}")
        try:
            if not done:
                options = {"overwrite": overwrite, "evaluate": evaluate, "progress": progress}
                train(settings, runs=runs, name=name, **options)
            if evaluate:
                open_run(folder)  # one that was kept may be damaged, or not evaluated yet
            folders.append(folder)
        except UserError as error:
            failed.append(name)
            print(f"error: {where}{name}: {error}", file=sys.stderr)
    if evaluate and folders:
        print_runs(folders)
    if failed:
        raise UserError(
            f"{where}{len(failed)} of {counted(len(wanted), 'run')} failed: "
            f"{', '.join(failed)}; the error of each is above, the same command tries them again"
        )
    return folders


BASELINE_LOSSES = (
    "semi_hard_triplet",
    "hard_triplet",
    "lifted_loss",
    "npairs_loss",
    "angular_loss",
    "contrastive_loss",
)
ALL = "all"  # as a loss
OVERWRITE_FIX = "move it, give another --runs, or train with --overwrite"


def losses_of(loss: str) -> tuple[str, ...]:
    """Return what ``--loss`` stands for: ``all`` is the untrained backbone and six losses."""
    return (UNTRAINED, *BASELINE_LOSSES) if loss == ALL else (loss,)


def expand(settings: TrainSettings, seeds: int) -> list[TrainSettings]:
    """Return one setting per run: ``loss="all"`` is the untrained backbone and six losses.

    Args:
        settings: What the user asked for.
        seeds: Repetitions, seeded ``seed``, ``seed + 1``, ...; the untrained run is made once.

    Returns:
        Settings of the single runs, in the order they are made.
    """
    each = [settings]
    if settings.loss == ALL:
        _, *losses = losses_of(ALL)
        each = [without_loss_settings(settings), *(settings.with_(loss=loss) for loss in losses)]
    return [
        one.with_(seed=one.seed + repeat)
        for one in each
        for repeat in range(1 if one.loss == UNTRAINED else seeds)
    ]


def settings_of(changes: dict) -> TrainSettings:
    """Return the settings asked for: the defaults, or a recipe, with the user's changes."""
    if changes.get("recipe"):
        rest = {k: v for k, v in changes.items() if k not in ("recipe", "scaled")}
        return load_recipe(changes["recipe"]).train_settings(rest)
    return TrainSettings.from_mapping(changes)


def run_session(
    changes: dict,
    *,
    runs: Path,
    name: str | None = None,
    overwrite: bool = False,
    evaluate: bool = True,
    resume_path: Path | None = None,
    seeds: int = 1,
) -> list[Path]:
    """Train every run asked for and print their figures.

    Args:
        changes: Settings that differ from the defaults.
        runs: Folder of runs.
        name: Name of the run; with several runs, the prefix of their names.
        overwrite: Replace existing runs; otherwise, of several runs, those of equal settings that
            exist are kept.
        evaluate: Embed and evaluate each.
        resume_path: An interrupted run to continue instead.
        seeds: Repetitions of each loss.

    Returns:
        The folders of all runs.

    Raises:
        UserError: Settings, a name or seeds beside ``resume_path``; what :func:`train` raises; of
            several runs, what :func:`check_all` raises, or that some failed: the others are made.
    """
    start = time.perf_counter()
    if resume_path is not None:
        _check_resumed(changes, name, seeds)
        paths = [resume(resume_path, overwrite=overwrite, evaluate=evaluate)]
    else:
        wanted = expand(settings_of(changes), seeds)
        for settings in wanted:  # all of them before the first is trained
            check_names(settings)
        options = {"runs": runs, "overwrite": overwrite}
        if len(wanted) == 1:
            paths = [train(wanted[0], name=name, evaluate=evaluate, **options)]
        else:
            labels = ("-".join(filter(None, [name, default_name(one)])) for one in wanted)
            named = dict(zip(map(check_run_name, labels), wanted, strict=True))
            check_all(named, fix=OVERWRITE_FIX, **options)
            paths = train_all(named, evaluate=evaluate, **options)
    if evaluate:
        if len(paths) == 1:  # train_all shows several
            print_runs(paths)
        print(f"{time.perf_counter() - start:.0f} s in all. Look at them: streamlit run app.py")
    return paths


def _check_resumed(changes: dict, name: str | None, seeds: int) -> None:
    """Refuse what an interrupted run would not follow: it goes on with its own settings."""
    given = [*changes, *(["name"] if name is not None else []), *(["seeds"] if seeds != 1 else [])]
    if given:
        flags = ", ".join("--" + key.replace("_", "-") for key in given)
        raise UserError(f"--resume continues a run with its own settings: drop {flags}")
