"""Evaluate a folder that has embeddings: metrics, neighbors, projection, thumbnails, evolution.

One exact neighbor search per protocol serves all of them. TensorFlow is not needed.
"""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from retrieval.datasets import DATASETS
from retrieval.datasets.catalog import Catalog, crop_boxes
from retrieval.errors import UserError, counted
from retrieval.evaluation import evaluate
from retrieval.evaluation.geometry import relative_spread
from retrieval.evaluation.protocol import roles_or_none
from retrieval.evaluation.protocol import sides as sides_of
from retrieval.evaluation.relevance import BY_CLASS, NO_LABELS, OWN_LISTS, columns_named
from retrieval.evaluation.results import Result
from retrieval.evaluation.search.shard_files import ShardedSearch
from retrieval.files import atomic_path, digest, write_json
from retrieval.progress import stage
from retrieval.projection import FILE as EVOLUTION_FILE
from retrieval.projection import make_evolution, project, project_sample
from retrieval.runs.checks import reading
from retrieval.runs.judgments import FILE as JUDGMENTS_FILE
from retrieval.runs.judgments import (
    graded_metrics,
    judgments_from,
    lists_of,
    read_judgments,
    write_judgments,
)
from retrieval.runs.large import is_large, sample_caption, sampled_rows
from retrieval.runs.neighbors import FILE as NEIGHBORS_FILE
from retrieval.runs.neighbors import write_neighbors
from retrieval.runs.places import final_path
from retrieval.runs.records import SCHEMA, ProtocolResult
from retrieval.runs.resume import check_dataset_unchanged
from retrieval.runs.run import NO_EMBEDDINGS, Run, remedy
from retrieval.runs.sharding import IN_PROCESS, Sharding, passes_of, sharded_search
from retrieval.runs.store import changed_run, check_there, locked_run, open_run
from retrieval.runs.thumbnails import write_thumbnails
from retrieval.validation import (
    DEFAULT_DISTANCE,
    DEFAULT_KMEANS_START,
    DEFAULT_NO_POSITIVE,
    LEAVE_ONE_OUT,
    PROTOCOLS,
    QUERY_GALLERY,
    Role,
    choices_of,
    protocol_with,
)

MANY = 20_000  # items, whose map takes so long that a bar is shown
STORED_NEIGHBORS = 64
MOVED_IMAGES = "put the images back and run `retrieval evaluate` again"
COMPUTED_FROM = ("embeddings.npy", "items.parquet", NEIGHBORS_FILE, JUDGMENTS_FILE)
KS = (1, 2, 4, 8, 10, 16, 20, 30, 40, 50, 100, 1000)  # Recall@K is measured at each


@dataclass(frozen=True)
class EvaluationOptions:
    """Options of the evaluation, passed on to :func:`retrieval.evaluation.evaluate`.

    Attributes:
        no_positive: What to do with queries without a relevant item in the gallery: ``exclude``
            them from every mean or score them ``zero``. Defaults to ``exclude``.
        kmeans: Initialization of the k-means behind NMI, or ``none`` to skip clustering. Defaults
            to None: ``greedy k-means++`` up to a million items, and ``none`` beyond.
        seed: Seed of k-means, of the bootstrap and of the geometry's samples. Defaults to 0.
        ks: Values of K at which to measure Recall@K, besides :data:`KS`. Defaults to none.
        n_init: Number of starts of k-means. Defaults to None: 10 up to 1,000 classes and 50,000
            items, and 3 beyond.
        exclude_same: Columns of the items; items that share the query's values of all of them are
            left out of its ranking. Where neither this nor ``junk_same`` is given, the official
            protocol of the data set holds, if it leaves anything out.
        junk_same: Columns likewise, of items of the query's class that are left out.
        metrics: Metrics to compute besides the usual ones and those of the official protocol.
            Defaults to none.
    """

    no_positive: str = DEFAULT_NO_POSITIVE
    kmeans: str | None = None
    seed: int = 0
    ks: tuple[int, ...] = ()
    n_init: int | None = None
    exclude_same: tuple[str, ...] = ()
    junk_same: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()


DEFAULT = EvaluationOptions()


def evaluate_run(
    path: Path | str,
    *,
    distance: str | None = None,
    options: EvaluationOptions = DEFAULT,
    qrels: Path | None = None,
    ignored: Path | None = None,
    images: bool = True,
    progress: bool = True,
    sharding: Sharding = IN_PROCESS,
) -> Run:
    """Evaluate a run folder that has embeddings, again if need be.

    Everything that is derived from the embeddings is written anew, and takes the place of the old
    as a whole: a run that is interrupted here is as it was.

    Args:
        path: Folder of the run to evaluate.
        distance: Distance to evaluate with. Defaults to that of the run's settings, or cosine for
            imported embeddings.
        options: Other options of the evaluation.
        qrels: File that says what is relevant to each query, see
            :func:`retrieval.runs.judgments.judgments_from`; items are known by their path. The run
            keeps it. Defaults to None: what the run has, or else the items of a query's class.
        ignored: File of the pairs that rankings leave out, beside ``qrels``. Defaults to none.
        images: Whether to look at the data set on this disk, if it is there: the run must have been
            trained on it, and its thumbnails are made again. Defaults to True. Otherwise, the
            thumbnails stay as they are.
        progress: Whether to show progress bars. Defaults to True.
        sharding: Where the search is computed, and in how many parts. Defaults to this process.

    Returns:
        The run, opened.

    Raises:
        UserError: The folder has no embeddings, one of its files is missing or damaged, the data
            set has changed, a file of judgments is invalid, or another process changes the run.
    """
    path = Path(path)
    if ignored is not None and qrels is None:
        raise UserError("--ignored goes with --qrels, which says what is relevant")
    check_there(path)
    with locked_run(path):
        catalog, distance = _read_for_evaluation(path, distance)
        if images:
            _check_dataset(path)
        judged = None
        if qrels is not None:
            judged = judgments_from(qrels, ignored, catalog.items["path"].tolist())
        with changed_run(path) as folder:
            if judged is not None:
                write_judgments(folder, [judged])
            evaluate_folder(
                folder,
                catalog,
                distance,
                options=options,
                images=images,
                progress=progress,
                sharding=sharding,
            )
    return open_run(path)


def _check_dataset(path: Path) -> None:
    try:
        check_dataset_unchanged(Run(path))
    except UserError as error:
        raise UserError(
            f"{error}; or pass --keep-thumbnails to evaluate the embeddings as they are"
        ) from None


def _read_for_evaluation(path: Path, distance: str | None) -> tuple[Catalog, str]:
    """Read what an evaluation needs besides the embeddings, and check that they fit."""
    if (path / "config.yaml").is_file() and not Run(path).has_embeddings:
        raise UserError(f"{path}: {NO_EMBEDDINGS}; import it again with --overwrite")
    if not (path / "embeddings.npy").is_file():
        advice = remedy(path, "embeddings.npy").replace("compute it again", "make them")
        raise UserError(f"{path}: no embeddings; {advice}")
    for name in ("config.yaml", "items.parquet"):
        if not (path / name).is_file():
            raise UserError(f"{path}: {name} is missing; {remedy(path, name)}")
    run = Run(path)
    if run.texts_of:
        raise UserError(
            f"{path}: its queries are texts: make it again with `retrieval evaluate "
            f"{shlex.quote(run.texts_of)} --text-queries PROMPT`"
        )
    with reading(path / "embeddings.npy"):
        shape = run.embeddings.shape
    with reading(path / "items.parquet"):
        _ = run.items[["path", "label", "role"]]
    if len(run.items) != shape[0]:
        raise UserError(f"{path}: {len(run.items)} items but {shape[0]} embeddings")
    with reading(path / "config.yaml") as file:
        distance = distance or (run.settings.distance if run.settings else DEFAULT_DISTANCE)
        data = run.dataset_config
        if data.root is None:
            raise UserError(f"{file}: root of the data set is missing")
    catalog = Catalog(
        data.name,
        data.root,
        run.items,
        data.query_gallery_title,
        data.options,
        linked_roots=data.linked_roots,
        has_labels=data.has_labels,
    )
    return catalog, distance


def evaluate_folder(
    folder: Path,
    catalog: Catalog,
    distance: str,
    *,
    options: EvaluationOptions = DEFAULT,
    images: bool = True,
    progress: bool = True,
    no_pictures: str = MOVED_IMAGES,
    sharding: Sharding = IN_PROCESS,
) -> None:
    """Write everything that is derived from the embeddings of a folder.

    Writes ``metrics.json``, ``neighbours.npz``, ``projection.parquet``, ``thumbnails/`` and, for a
    run with snapshots of its training, ``evolution.npz``.

    Args:
        folder: Folder with ``embeddings.npy`` and ``items.parquet``; a finished run or a partial
            one.
        catalog: The data set, for its name, its root folder and its query -> gallery title.
        distance: Distance to evaluate with.
        options: Other options of the evaluation.
        images: Whether to make the thumbnails. Defaults to True; otherwise, those in the folder
            stay.
        progress: Whether to show progress bars. Defaults to True.
        no_pictures: What to do about images that cannot be found, for the remark about them.
        sharding: Where the search is computed, and in how many parts. Defaults to this process.
    """
    items = pd.read_parquet(folder / "items.parquet")
    with sharded_search(folder, sharding, progress=progress) as search_with:
        _write_results(
            folder, items, catalog, distance, options, progress=progress, search_with=search_with
        )
    if images:
        paths, boxes = catalog.contained_paths(items), crop_boxes(items)
        without = write_thumbnails(folder / "thumbnails", paths, boxes, progress=progress)
        names = items["path"].tolist()
        for line in picture_remarks(catalog.root, names, paths, without, no_pictures):
            tqdm.write(f"{final_path(folder)}: {line}")
    # The maps of training steps are aligned with the final map, which is a new one now.
    (folder / EVOLUTION_FILE).unlink(missing_ok=True)
    try:
        make_evolution(folder, distance, progress=progress)
    except OSError:  # a full disk would leave the run without them for good: it can go on later
        raise
    except Exception as error:  # the run is complete without them, if a snapshot is damaged
        reason = " ".join(str(error).split()) or type(error).__name__
        tqdm.write(f"{final_path(folder)}: no maps of training steps: {reason}")
    for line in caveat_lines(Run(folder).results.values()):
        tqdm.write(f"{final_path(folder)}: {line}")


def caveat_lines(results: Iterable[ProtocolResult]) -> list[str]:
    """Return the caveats of a run's results, each once.

    Args:
        results: The results of a run under every protocol.

    Returns:
        One line per caveat; one that is not of every protocol names those it is of.
    """
    results, titles = list(results), dict[str, list[str]]()
    for result in results:
        for line in result.caveats:
            titles.setdefault(line, []).append(result.title)
    return [
        line if len(of) == len(results) else f"{', '.join(of)}: {line}"
        for line, of in titles.items()
    ]


def picture_remarks(
    root: Path,
    names: Sequence[str],
    paths: Sequence[str | None],
    without: np.ndarray,
    advice: str = MOVED_IMAGES,
) -> list[str]:
    """Say which items have no picture, and why.

    Args:
        root: Root folder of the data set.
        names: Path of each item, relative to the root.
        paths: Absolute path of each item; None if it leads out of the root.
        without: int64, rows of the items without a picture.
        advice: What to do about images that cannot be found.

    Returns:
        At most one line for the paths that lead out of the root, and one for the other images.
    """
    rows = [int(row) for row in without]
    outside = [row for row in rows if paths[row] is None and names[row]]
    missing = [row for row in rows if paths[row] is not None or not names[row]]
    if advice == MOVED_IMAGES:  # an item of an import without paths has no image to put back
        missing = [row for row in missing if names[row]]
    lines = []
    if outside:
        lines.append(
            f"{len(outside):,} of {len(paths):,} paths lead out of {root}, so these items have no "
            f"picture (first: {names[outside[0]]!r})"
        )
    if missing:
        first = paths[missing[0]]
        why = f", because their image cannot be read (first: {first})" if first else ""
        have = "has" if len(paths) == 1 else "have"
        lines.append(
            f"{len(missing):,} of {counted(len(paths), 'item')} {have} no picture{why}; {advice}"
        )
    return lines


def _write_results(
    folder: Path,
    items: pd.DataFrame,
    catalog: Catalog,
    distance: str,
    options: EvaluationOptions,
    *,
    progress: bool,
    search_with: ShardedSearch,
) -> None:
    """Write metrics, neighbors and projection.

    Leave-one-out over all items is always evaluated, because the projection needs its neighbors,
    except for a large run with roles, whose projection is of a sample. If
    items have roles, query -> gallery is evaluated too and is the primary protocol. If the run has
    judgments, they take its place: one protocol each, the first of them primary. If items are to be
    left out, the primary protocol is evaluated again without them, and that one is primary.
    """
    embeddings = np.load(folder / "embeddings.npy", mmap_mode="r")
    labels = items["label"].to_numpy()
    roles, large = roles_or_none(role_array(items["role"])), is_large(len(items))
    arguments: dict[str, Any] = asdict(options) | {
        "ks": (*KS, *options.ks),
        "kmeans": kmeans_of(options, len(items)),
        "search_with": search_with,
        "passes_of": passes_of(search_with),
        "distance": distance,
        "k_neighbors": STORED_NEIGHBORS,
        "progress": progress,
    }
    left_out: dict[str, Any] = {}
    for option, names in columns_left_out(catalog.name, options).items():
        del arguments[option]
        if names:
            left_out[option] = columns_named(option, names, items)
    judged = read_judgments(folder)
    parts = sides_of(len(items), roles)
    further = (*options.metrics, *_official(catalog.name, "metrics"), *graded_metrics(judged))
    arguments["metrics"] = tuple(dict.fromkeys(further))
    if not catalog.has_labels:
        arguments["kmeans"] = "none"  # of as many clusters as items
    results, graph = dict[str, Result](), None
    if roles is None or not large:
        graph = results[LEAVE_ONE_OUT] = evaluate(embeddings, labels, **arguments)
    primary, lists = parts.name, dict[str, Any]()
    titles = {LEAVE_ONE_OUT: PROTOCOLS[LEAVE_ONE_OUT], QUERY_GALLERY: catalog.query_gallery_title}
    if judged:
        lists = lists_of(judged[0], parts)
        primary = protocol_with(parts.name, judged[0].name)
    for one in judged:
        name = protocol_with(parts.name, one.name)
        result = evaluate(
            embeddings, labels, roles, reuse=graph, **arguments, **lists_of(one, parts)
        )
        graph = graph or _with_clusters(result)
        results[name] = replace(result, protocol=replace(result.protocol, name=name))
        titles[name] = f"{titles[parts.name]}, {one.name}"
    if roles is not None and not judged:
        result = evaluate(embeddings, labels, roles, reuse=graph, **arguments)
        results[QUERY_GALLERY], graph = result, graph or _with_clusters(result)
    if left_out:
        result = evaluate(embeddings, labels, roles, reuse=graph, **arguments, **lists, **left_out)
        words = "; ".join(
            word for word in result.protocol.exclusion.split("; ") if not word.startswith(OWN_LISTS)
        )
        rules = f"{judged[0].name}-{words}" if judged else words
        name = protocol_with(parts.name, rules)
        results[name] = replace(result, protocol=replace(result.protocol, name=name))
        titles[name] = f"{titles[primary]}, without {words}"
        primary = name
    write_neighbors(folder, results)
    spread = relative_spread(embeddings, distance)
    with atomic_path(folder / "projection.parquet") as temporary:
        what = sample_caption(len(items)) or counted(len(items), "item")
        with stage(f"map of {what}", show=progress):
            if large:
                layout = project_sample(embeddings, sampled_rows(len(items)), distance)
            else:
                found = results[LEAVE_ONE_OUT]
                layout = project(
                    embeddings,
                    found.neighbors,
                    found.similarities,
                    distance=distance,
                    progress=progress and len(items) > MANY,
                )
        layout.to_parquet(temporary)
    if not catalog.has_labels:
        results = {name: _without_labels(result) for name, result in results.items()}
    write_metrics(folder, results, titles, catalog.name, primary=primary, spread=spread)


def _with_clusters(result: Result) -> Result | None:
    """Return a result if its clusters can be used for another protocol."""
    return result if result.clusters is not None else None


def kmeans_of(options: EvaluationOptions, n: int) -> str:
    """Return how k-means starts for n items: it is left out of a large run unless asked for."""
    return options.kmeans or ("none" if is_large(n) else DEFAULT_KMEANS_START)


def role_array(roles: pd.Series) -> np.ndarray:
    """Return the roles of items as an array; of millions of items, objects would take GBs."""
    known = list(choices_of(Role))
    codes = np.asarray(pd.Categorical(roles, known).codes)
    found: np.ndarray = np.array(known)[codes]
    if (codes < 0).any():  # is refused where roles are used
        found = roles.to_numpy(dtype=object)
    return found


def _without_labels(result: Result) -> Result:
    """Return a result that says that the items have no classes, unless relevance is judged."""
    protocol = replace(result.protocol, unit="query")
    if protocol.relevance == BY_CLASS:
        protocol = replace(protocol, relevance=NO_LABELS)
    return replace(result, protocol=protocol)


def columns_left_out(dataset: str, options: EvaluationOptions) -> dict[str, tuple[str, ...]]:
    """Return the columns by which an evaluation leaves items out.

    Args:
        dataset: Name of the data set, whose official protocol holds unless options name columns.
        options: Options of the evaluation.

    Returns:
        ``exclude_same`` and ``junk_same`` -> names of columns.
    """
    if options.exclude_same or options.junk_same:
        return {"exclude_same": options.exclude_same, "junk_same": options.junk_same}
    return {option: _official(dataset, option) for option in ("exclude_same", "junk_same")}


def _official(dataset: str, option: str) -> tuple[str, ...]:
    """Return what the official protocol of a data set says about an option of the evaluation."""
    return tuple(getattr(DATASETS[dataset], option)) if dataset in DATASETS else ()


def write_metrics(
    folder: Path,
    results: Mapping[str, Result],
    titles: Mapping[str, str],
    dataset: str,
    *,
    primary: str | None = None,
    spread: float | None = None,
) -> None:
    """Write ``metrics.json``, after the files whose digests it holds.

    Args:
        folder: Folder of the run to write to.
        results: Protocol name -> result of the evaluation.
        titles: Protocol name -> title for display.
        dataset: Name of the data set.
        primary: Name of the primary protocol. Defaults to the last one.
        spread: Relative spread of the embeddings, see :mod:`retrieval.evaluation.geometry`.
            Defaults to not recorded.
    """
    entries = []
    for name, result in results.items():
        entry = result.to_dict()
        entry["protocol"] |= {"dataset": dataset, "split": "test", "title": titles[name]}
        if spread is not None:
            entry["geometry"]["relative_spread"] = spread
        entries.append(entry)
    write_json(
        folder / "metrics.json",
        {
            "schema": SCHEMA,
            "primary": primary or list(results)[-1],
            "results": entries,
            "computed_from": {
                name: digest(folder / name) for name in COMPUTED_FROM if (folder / name).exists()
            },
        },
    )
