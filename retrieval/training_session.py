"""What ``retrieval train`` does: one loss or all, one seed or many, then a table of results."""

import time
from pathlib import Path

from retrieval.errors import UserError
from retrieval.many_runs import check_all, train_all
from retrieval.no_effect import without_loss_settings
from retrieval.pipeline import resume, train
from retrieval.recipes import load_recipe
from retrieval.resolve import UNTRAINED, check_names
from retrieval.run_names import check_run_name, default_name
from retrieval.settings import TrainSettings
from retrieval.tables import print_runs

BASELINE_LOSSES = (
    "semi_hard_triplet",
    "hard_triplet",
    "lifted_loss",
    "npairs_loss",
    "angular_loss",
    "contrastive_loss",
)
ALL = "all"  # as a loss
FIX = "move it, give another --runs, or train with --overwrite"


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
            check_all(named, fix=FIX, **options)
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
