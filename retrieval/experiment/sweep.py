"""``retrieval sweep``: train a grid of settings from a YAML file, skipping what is finished.

The file has two parts::

    base: {dataset: grocery, freeze_backbone: true, steps: 500}
    grid:
      loss: [semi_hard_triplet, npairs_loss]
      loss_options: [{margin: 0.1}, {margin: 0.2}]
      seed: [0, 1, 2]

An option that one loss of the sweep lacks, but another has, is dropped from the runs of the first:
here 6 runs train ``semi_hard_triplet`` and 3 train ``npairs_loss``, which has no margin. Where
``base`` and the grid both have ``loss_options`` or ``dataset_options``, the two are merged and the
grid's value of an option wins. The loss ``all`` stands for the untrained network and six losses, as
in ``retrieval train``.

A file may have several grids, each with settings of its own on top of the shared ones, and a name
that its runs' names begin with::

    base: {dataset: grocery, steps: 100}
    grids:
      - name: head
        base: {freeze_backbone: true}
        grid: {loss: [semi_hard_triplet, npairs_loss], seed: [0, 1, 2]}
      - name: whole
        base: {augment: strong}
        grid: {loss: [semi_hard_triplet, npairs_loss]}

All runs are checked before the first is trained. One that fails then (it diverged, say) does not
stop the others; the failed ones are named at the end, and the same command tries them again.
"""

import itertools
import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from retrieval.errors import UserError, unknown_option
from retrieval.experiment.pipeline import Announce
from retrieval.experiment.session import (
    OnFailure,
    losses_meant_by,
    plan_all,
    settings_from,
    train_all,
)
from retrieval.experiment.tasks import Place, Watch
from retrieval.losses import LOSSES, recommended_options
from retrieval.runs.names import UNTRAINED_NAME, check_run_name
from retrieval.settings.checks import check
from retrieval.settings.identity import ONLY_FOR_TRAINING, REFUSED_UNTRAINED, differing
from retrieval.settings.schema import UNTRAINED, TrainSettings, pixels_of
from retrieval.settings.yaml_text import parse_yaml

# Another value of these makes no other run of the untrained network, which is made once.
IDLE_UNTRAINED = {*ONLY_FOR_TRAINING, "seed"} - {"loss_options"}
MOST_COMBINATIONS = 10_000  # of a file; more are weeks of training, and a mistake
KEYS = ("base", "grid", "grids")  # of a sweep file
GRID_KEYS = ("name", "base", "grid")  # of each entry of `grids`
Made = TypeVar("Made")


@dataclass(frozen=True)
class Grid:
    """The runs of a sweep file.

    Attributes:
        path: The YAML file of the sweep.
        runs: Run name -> checked settings, in the order of the file; a name spells out the grid's
            values.
        combinations: Number of combinations of the values of all grids. There are fewer runs where
            combinations have equal settings: repeated values, 1 and 1.0, or a difference only in
            options that their loss lacks. The first of them names the run.
    """

    path: Path
    runs: dict[str, TrainSettings]
    combinations: int


@dataclass(frozen=True)
class _Part:
    """One grid of a sweep file.

    Attributes:
        where: The file, and which of its grids this is if it has several: the beginning of errors.
        name: What the names of its runs begin with; empty for nothing.
        base: Setting -> value of all its runs.
        grid: Setting -> values to combine.
    """

    where: str
    name: str
    base: dict[str, Any]
    grid: dict[str, list[Any]]

    @property
    def combinations(self) -> int:
        return math.prod(map(len, self.grid.values()))

    def points(self) -> Iterator[dict[str, Any]]:
        """Yield every combination of the grid's values: setting -> value."""
        for values in itertools.product(*self.grid.values()):
            yield dict(zip(self.grid, values, strict=True))


def read_grid(path: Path | str) -> Grid:
    """Read and check a sweep file.

    Args:
        path: A YAML file with ``base`` (settings shared by all runs; a ``recipe`` is followed) and
            ``grid`` (lists of values to combine), or ``grids``: a list of mappings with a ``grid``
            and, if wanted, a ``base`` and a ``name`` of its own.

    Returns:
        The runs it stands for.

    Raises:
        UserError: The file is missing or malformed, names an unknown setting, or two runs would
            have one name; names the file, the grid if there are several, and its point.
    """
    path = Path(path)
    parts = _read(path)
    _check_size(path, parts)
    points = [(part, point) for part in parts for point in part.points()]
    losses = [
        _at(part.where, point, settings_from, merged(part.base, point)).loss
        for part, point in points
    ]
    known = {option for loss in set(losses) & set(LOSSES) for option in recommended_options(loss)}
    found: dict[str, TrainSettings] = {}
    made: set[Hashable] = set()
    for loss, (part, point) in zip(losses, points, strict=True):
        name, settings = _at(part.where, point, _run, part, point, loss, known)
        if (content := _hashable(settings.to_mapping())) in made:
            continue
        made.add(content)
        if found.setdefault(name, settings) != settings:
            words = ", ".join(differing(found[name], settings))
            fix = "" if len(parts) == 1 else "; give each grid a `name` of its own"
            raise UserError(f"{path}: two runs would be called {name}; they differ in {words}{fix}")
    return Grid(path, found, len(points))


def _check_size(path: Path, parts: Sequence[_Part]) -> None:
    """Refuse more combinations than anyone can have meant."""
    sizes = [part.combinations for part in parts]
    if (total := sum(sizes)) <= MOST_COMBINATIONS:
        return
    words = " + ".join(f"{size:,}" for size in sizes)
    if len(parts) == 1:
        words = " x ".join(f"{len(values):,}" for values in parts[0].grid.values())
    raise UserError(
        f"{path}: {'the grid has' if len(parts) == 1 else 'the grids have'} {words} = {total:,} "
        f"combinations: give {MOST_COMBINATIONS:,} at most, in several files if need be"
    )


def _hashable(value: object) -> Hashable:
    """Return equal values for equal settings, whose options are mappings and lists."""
    if isinstance(value, Mapping):
        return frozenset((key, _hashable(each)) for key, each in value.items())
    if isinstance(value, list | tuple | set):
        return type(value).__name__, *map(_hashable, value)
    return value if isinstance(value, Hashable) else repr(value)


def _at(where: str, point: dict[str, Any], make: Callable[..., Made], *arguments: object) -> Made:
    """Call a function for a grid point; an error then names the file, its grid and the point."""
    try:
        return make(*arguments)
    except UserError as error:
        values = ", ".join(f"{key}={value}" for key, value in _flat(point))
        raise UserError(": ".join(filter(None, [where, values, str(error)]))) from error


def _run(
    part: _Part, point: dict[str, Any], loss: str, known: set[str]
) -> tuple[str, TrainSettings]:
    """Return the name and the checked settings of a grid point."""
    base = part.base
    if loss == UNTRAINED:
        base = {k: v for k, v in base.items() if k == "loss_options" or k not in REFUSED_UNTRAINED}
        point = {k: v for k, v in point.items() if k not in IDLE_UNTRAINED}
    base, point = (_without_foreign_options(part, loss, known) for part in (base, point))
    settings = settings_from(merged(base, point))
    check(settings)
    name = run_name(settings, point)
    return check_run_name(f"{part.name}-{name}" if part.name else name), settings


def merged(base: dict[str, Any], point: dict[str, Any]) -> dict[str, Any]:
    """Return the base's settings with those of a grid point on top; two mappings are merged."""
    both = {
        key: base[key] | value
        for key, value in point.items()
        if isinstance(value, dict) and isinstance(base.get(key), dict)
    }
    return base | point | both


def _read(path: Path) -> list[_Part]:
    """Return the grids of a sweep file, each with the shared settings below its own."""
    if not path.is_file():
        raise UserError(f"no sweep file at {path}")
    try:
        content = parse_yaml(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not valid YAML ({error}): save it as UTF-8") from error
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    if not isinstance(content, dict) or not content:
        raise UserError(f"{path}: needs the keys `base` and `grid`, or `base` and `grids`")
    _check_keys(str(path), content, KEYS)
    shared = _mapping(str(path), content, "base")
    if "grids" not in content:
        return [_part(str(path), "", shared, _mapping(str(path), content, "grid"))]
    if "grid" in content:
        raise UserError(f"{path}: has `grid` and `grids`: make the former one of the latter")
    grids = content["grids"]
    if not isinstance(grids, list) or not grids:
        raise UserError(f"{path}: grids must be a list of mappings, each with a `grid`")
    return [_named_part(path, number, shared, each) for number, each in enumerate(grids, start=1)]


def _named_part(path: Path, number: int, shared: dict[str, Any], content: object) -> _Part:
    """Return an entry of ``grids``."""
    where = f"{path}: grid {number}"
    if not isinstance(content, dict) or "grid" not in content:
        raise UserError(f"{where} must be a mapping with a `grid`, and a `base` and `name` if any")
    _check_keys(where, content, GRID_KEYS)
    name = content.get("name") or ""
    if not isinstance(name, str):
        raise UserError(f"{where}: name must be a text, not {name!r}")
    if name:
        where += f" ({name})"
    base = merged(shared, _mapping(where, content, "base"))
    return _part(where, name, base, _mapping(where, content, "grid"))


def _check_keys(where: str, content: dict[Any, Any], valid: tuple[str, ...]) -> None:
    for key in content:
        if key not in valid:
            raise unknown_option(f"key of {where}", key, valid)


def _mapping(where: str, content: dict[str, Any], key: str) -> dict[str, Any]:
    """Return the settings that a file has below a key; none if it has no such key."""
    part = content.get(key)
    if not isinstance(part, dict | None):
        raise UserError(f"{where}: {key} must be a mapping, name: value")
    for name in part or {}:
        if not isinstance(name, str):
            raise UserError(f"{where}: {key}: {name!r} must be the name of a setting")
    return part or {}


def _part(where: str, name: str, base: dict[str, Any], grid: dict[str, Any]) -> _Part:
    """Return a grid, with the losses that ``all`` stands for."""
    for key, values in grid.items():
        if not isinstance(values, list) or not values:
            raise UserError(f"{where}: grid.{key} must be a list of one value or more")
    if "loss" in grid:
        losses = [loss for each in grid["loss"] for loss in losses_meant_by(each)]
        grid = grid | {"loss": losses}
    elif "loss" in base and len(losses_meant := losses_meant_by(base["loss"])) > 1:
        grid = {"loss": list(losses_meant)} | grid
    return _Part(where, name, base, grid)


def _without_foreign_options(
    settings: dict[str, Any], loss: str, known: Iterable[str]
) -> dict[str, Any]:
    """Drop what a loss of the sweep lacks, but another has: options, and the rate of own weights.

    Args:
        settings: Setting -> value, from the base or from a point of the grid.
        loss: The point's loss.
        known: The options of all losses in the sweep. An option that none of them has stays, to be
            refused.

    Returns:
        Setting -> value.
    """
    rate = "learning_rate_multiplier"
    if loss in LOSSES and rate in known and rate not in recommended_options(loss):
        settings = {k: v for k, v in settings.items() if k != "loss_multiplier"}
    options = settings.get("loss_options")
    if not isinstance(options, dict) or loss not in (*LOSSES, UNTRAINED):
        return settings  # to be refused, if wrong
    if loss == UNTRAINED:
        own = {} if known else options  # the sweep's other losses refuse unknown ones
    else:
        valid = recommended_options(loss)
        own = {k: v for k, v in options.items() if k in valid or k not in known}
    rest = {k: v for k, v in settings.items() if k != "loss_options"}
    # Without any left it is as if none were given: a recipe's own options then hold.
    return rest if options and not own else settings | {"loss_options": own}


def run_name(settings: TrainSettings, point: dict[str, Any]) -> str:
    """Return a name that spells out a grid point, e.g. ``npairs_loss-steps50-seed2``.

    The seed comes last, so that repetitions share the beginning of their names.

    Args:
        settings: The settings of the run.
        point: The values of the grid that the run is for: setting -> value.
    """
    parts = [UNTRAINED_NAME if settings.loss == UNTRAINED else settings.loss]
    for key, value in sorted(point.items(), key=lambda pair: pair[0] == "seed"):
        if key in TrainSettings.model_fields and pixels_of(key) is not None:
            value = getattr(settings, key)  # "256x128", however the file writes it
        if key != "loss":
            parts += [f"{k}{v}" for k, v in _flat({key: value})]
    return "-".join(str(p).replace("/", "_") for p in parts)


def _flat(point: dict[str, Any]) -> list[tuple[str, Any]]:
    """List the settings of a grid point, with the options of a mapping one by one."""
    return [
        pair
        for key, value in point.items()
        for pair in (value.items() if isinstance(value, dict) else [(key, value)])
    ]


def sweep(
    grid: Grid | Path | str,
    *,
    runs: Path | str = "runs",
    progress: bool = True,
    announce: Announce | None = None,
    on_failure: OnFailure | None = None,
    place: Place | None = None,
    watch: Watch | None = None,
) -> list[Path]:
    """Train every run of a sweep that is not finished yet.

    Args:
        grid: The sweep file, or what :func:`read_grid` made of it.
        runs: Folder of runs. Defaults to ``runs``.
        progress: Show progress bars. Defaults to True.
        announce: Called with each line that a user may want to read. Defaults to None, no call.
        on_failure: Called with the name and the error of each run that fails. Defaults to None, no
            call.
        place: Where the runs are made. Defaults to None: here, one after the other.
        watch: Called every two seconds with what all runs are at, if they are made on a cluster.
            Defaults to None, no call.

    Returns:
        Every run's folder. A sweep that was killed continues at the run and step where it was.

    Raises:
        FailedRuns: Some runs failed; the others were trained.
        UserError: Before anything is trained: the file is malformed, a run does not fit its data
            set, or a finished run has other settings.
    """
    if not isinstance(grid, Grid):
        grid = read_grid(grid)
    prefix = f"{grid.path}: "
    return train_all(
        plan_all(grid.runs, runs=runs, prefix=prefix),
        progress=progress,
        prefix=prefix,
        announce=announce,
        on_failure=on_failure,
        place=place,
        watch=watch,
    )
