"""``retrieval export RUN --format``: a run's network as one file for other programs.

The file holds all that the run does to an image after decoding it, and nothing of this package is
needed to use it. Before it gets its name, it is read again by the library that its users have, and
its embeddings of real photos are compared with the run's. A model card is written beside it.
"""

import contextlib
import dataclasses
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps

from retrieval.datasets.catalog import crop_boxes
from retrieval.datasets.folder_metadata import NO_METADATA
from retrieval.datasets.image_lists import read_images
from retrieval.deployment.embedder import Embedder, load_embedder, source_of_run
from retrieval.deployment.formats import FORMATS, Format, Opened, check_packages
from retrieval.deployment.model_card import Card, Change, Checks, write_card
from retrieval.deployment.portable import Portable, portable
from retrieval.embedding.embed import network_of_views
from retrieval.errors import UserError, counted
from retrieval.files import (
    TEMPORARY,
    atomic_path,
    file_lock,
    recover_folder,
    remove,
    remove_temporaries,
    replace_folder,
)
from retrieval.input_pipeline.pipeline import eval_dataset, naming_unreadable_images
from retrieval.progress import stage
from retrieval.runs.embedding_output import check_outside
from retrieval.runs.run import Run
from retrieval.runs.store import open_run
from retrieval.training.embedder import load_whole_network
from retrieval.validation import ExportPrecision, check_choice, choices_of

CHECKED = 64  # photos whose embeddings are compared
CHECKED_WHOLE = 8  # of these, how many also at their own size
CALIBRATED = 256  # photos that the ranges of int8 are measured on
# Largest difference of one number of an embedding of unit length.
TOLERANCES = {"float32": 1e-4}
DEFAULT_PRECISION: ExportPrecision = "float32"
DEFAULT_FOLDER = Path("exports")
BATCH = 16  # of images that have one size; formats take any number
GALLERY_ROWS = 65_536  # of the run's embeddings, at a time

Announce = Callable[[str], None]


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        path: The file, or the folder of a SavedModel.
        card: The model card beside it.
        size: Bytes of the file, or of all files of the folder.
        checks: How far its embeddings are from the run's; None if this was not checked.
        any_size: Whether it takes images of any size.
        sides: Height and width that it takes otherwise.
        width: Dimension of the embeddings.
    """

    path: Path
    card: Path
    size: int
    checks: Checks | None
    any_size: bool
    sides: tuple[int, int]
    width: int


@dataclass(frozen=True)
class Photos:
    """Photos to compare embeddings on, or to measure ranges on.

    Attributes:
        origin: What they are, in words.
        files: Their paths.
        boxes: Crops (n, 4) in pixels; None for whole images.
        rows: Rows of the run's items; None if they are others.
    """

    origin: str
    files: list[str]
    boxes: np.ndarray | None = None
    rows: np.ndarray | None = None


def export_network(
    run: Path | str,
    format: str,
    out: Path | str | None = None,
    *,
    precision: str | None = None,
    checkpoint: str | None = None,
    images: Path | str | None = None,
    check: bool = True,
    normalize: bool = True,
    overwrite: bool = False,
    announce: Announce | None = None,
) -> Exported:
    """Export the network of a run, with all that the run does to an image before and after.

    Args:
        run: The folder of a trained run, or of one of an untrained network.
        format: A key of :data:`retrieval.deployment.formats.FORMATS`.
        out: Folder to write to. Defaults to ``exports``. The file is named by the data set, the
            run, the precision if it is not float32, and the format.
        precision: ``float32``, ``float16`` or ``int8``. Defaults to None, ``float32``.
        checkpoint: ``latest``, ``best`` or the step of any kept checkpoint. Defaults to that of the
            run's settings.
        images: Folder or list of photos to check with. Defaults to the run's test images.
        check: Whether to compare the embeddings of the file with the run's. Defaults to True.
        normalize: Whether embeddings are scaled to unit length. Defaults to True.
        overwrite: Whether to replace what is there. Defaults to False.
        announce: Called with each line that a user may want to read. Defaults to None, no call.

    Returns:
        What was written.

    Raises:
        UserError: There is no such run, checkpoint or format; the file exists; photos are missing;
            or an embedding differs by more than :data:`TOLERANCES`: nothing is written then.
    """
    path, folder = Path(run), DEFAULT_FOLDER if out is None else Path(out)
    precision = precision or DEFAULT_PRECISION
    kind = _format(format, precision)
    opened = open_run(path)
    opened.network_settings()
    target = _target(opened, kind, folder, precision)
    card = target.with_name(f"{target.name}.md")
    _check_free(target, card, overwrite=overwrite)
    check_outside(path, target)
    check_packages(format)
    with stage("loading the network"):
        embedder = _embedder(path, checkpoint)
    graph = portable(embedder.network, embedder.settings, normalize=normalize)
    photos = samples = None
    if check or precision == "int8":
        photos, samples = _photos(opened, images, precision)
    shown = _resized(samples, graph) if samples is not None else _no_images(graph)
    folder.mkdir(parents=True, exist_ok=True)
    with file_lock(folder / f".{target.name}.lock", on_wait=_waiting(announce, target)):
        _check_free(target, card, overwrite=overwrite)
        remove_temporaries(folder, target.name)
        with _beside(target, kind) as temporary:
            with stage(f"writing {kind.title}"):
                kind.write(graph, temporary, precision, shown)
            checks = None
            if check and photos is not None:
                with stage(f"comparing embeddings of {counted(len(photos.files), 'photo')}"):
                    reader = kind.read(temporary)
                    checks = _compare(reader, kind, graph, embedder, opened, photos, precision)
            write_card(
                card,
                Card(
                    run=opened,
                    file=target.name,
                    format=format,
                    precision=precision,
                    step=embedder.step,
                    graph=graph,
                    kind=kind,
                    checks=checks,
                    own_checkpoint=_is_own(opened, embedder),
                ),
            )
    return Exported(target, card, _size(target), checks, kind.any_size, graph.loaded, graph.width)


def _format(name: str, precision: str) -> Format:
    check_choice("--format", name, FORMATS)
    check_choice("--precision", precision, choices_of(ExportPrecision))
    kind = FORMATS[name]
    if precision not in kind.precisions:
        able = [other for other, each in FORMATS.items() if precision in each.precisions]
        raise UserError(
            f"--format {name} stores {' or '.join(kind.precisions)}, not {precision}: give "
            f"--format {' or '.join(able)}"
        )
    return kind


def _target(run: Run, kind: Format, folder: Path, precision: str) -> Path:
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file: --out with --format is the folder to write to")
    if folder.suffix in {each.suffix for each in FORMATS.values()} and not folder.exists():
        raise UserError(
            f"--out {folder}: with --format, --out is a folder; the file in it is named by the run"
        )
    stored = "" if precision == DEFAULT_PRECISION else f".{precision}"
    where = run.path.resolve()
    return folder / f"{where.parent.name}-{where.name}{stored}{kind.suffix}"


def _check_free(target: Path, card: Path, *, overwrite: bool) -> None:
    for path in (target, card):
        if (path.exists() or path.is_symlink()) and not overwrite:
            raise UserError(f"{path} exists; choose another --out or pass --overwrite")
    if card.is_dir():
        raise UserError(f"{card} is a folder: move it, or choose another --out")
    if target.exists() and target.is_dir() != (target.suffix == FORMATS["saved_model"].suffix):
        raise UserError(f"{target} is of another kind: move it, or choose another --out")


def _waiting(announce: Announce | None, target: Path) -> Callable[[], None]:
    return lambda: announce(f"waiting for another export to {target}") if announce else None


def _embedder(run: Path, checkpoint: str | None) -> Embedder:
    """Load the network in float32, also of a run that was trained in mixed precision."""
    embedder = load_embedder(run, checkpoint)
    if not embedder.settings.mixed_precision:
        return embedder
    network, _ = load_whole_network(run, embedder.settings, checkpoint)
    return dataclasses.replace(embedder, network=network_of_views(network, embedder.settings))


def _is_own(run: Run, embedder: Embedder) -> bool:
    """Tell whether the checkpoint is the one that the run's figures are of."""
    source = source_of_run(run)
    return source is not None and source.network == embedder.source.network


def _photos(run: Run, images: Path | str | None, precision: str) -> tuple[Photos, Photos | None]:
    """Return photos to check with, and others to measure ranges on if the precision needs them."""
    calibrated = CALIBRATED if precision == "int8" else 0
    if images is not None:
        listed = read_images(images, metadata=NO_METADATA if Path(images).is_dir() else None)
        files = listed.files(0, len(listed))
        rows = _spread(np.arange(len(files)), CHECKED)
        others = np.setdiff1d(np.arange(len(files)), rows)
        origin = f"photos of {images}"
        photos = Photos(origin, [files[row] for row in rows])
        rest = _spread(others if len(others) else rows, calibrated)
        samples = Photos(origin, [files[row] for row in rest])
    else:
        roles = run.items["role"].to_numpy()
        queries = np.flatnonzero(roles != "gallery")
        rows = _spread(queries if len(queries) else np.arange(len(roles)), CHECKED)
        others = np.setdiff1d(np.arange(len(roles)), rows)
        photos = _of_run(run, rows)
        samples = _of_run(run, _spread(others if len(others) else rows, calibrated))
    _check_there(run, [*dict.fromkeys(photos.files + samples.files)])
    return photos, samples if calibrated else None


def _spread(rows: np.ndarray, n: int) -> np.ndarray:
    """Return up to n of some rows, at equal distances, so that all classes have their share."""
    at = np.linspace(0, len(rows) - 1, min(n, len(rows))).round().astype(int)
    return np.asarray(rows)[at]


def _of_run(run: Run, rows: np.ndarray) -> Photos:
    items = run.items.iloc[rows]
    root = run.dataset_config.root or Path()
    files = [str(root / path) for path in items["path"]]
    return Photos("test photos of the run", files, crop_boxes(items), rows)


def _check_there(run: Run, files: Sequence[str]) -> None:
    missing = [file for file in files if not os.path.isfile(file)]
    if missing:
        more = f" and {len(missing) - 1:,} more" if len(missing) > 1 else ""
        raise UserError(
            f"{missing[0]}{more}: not there, so the export of {run.path} cannot be checked: give "
            "--images DIR to check with other photos, or --no-check"
        )


def _no_images(graph: Portable) -> np.ndarray:
    return np.empty((0, *graph.loaded, 3), np.uint8)


def _resized(photos: Photos, graph: Portable) -> np.ndarray:
    """Read photos as the run does, at the size before crops: uint8 (n, L, M, 3)."""
    batches = eval_dataset(photos.files, size=graph.loaded, boxes=photos.boxes)
    with naming_unreadable_images(photos.files):
        return np.concatenate([batch.numpy() for batch in batches])


@contextlib.contextmanager
def _beside(target: Path, kind: Format) -> Iterator[Path]:
    """Give a temporary place beside the target, which gets its name if the block succeeds."""
    if not kind.is_folder:
        with atomic_path(target) as temporary:
            yield temporary
        return
    old = target.with_name(f".{target.name}.old")
    recover_folder(target, old)
    temporary = Path(
        tempfile.mkdtemp(prefix=TEMPORARY, suffix=f"-{target.name}", dir=target.parent)
    )
    try:
        temporary.chmod(0o755)
        yield temporary
        replace_folder(temporary, target, old)
    finally:
        remove(temporary)


def _compare(
    reader: Opened,
    kind: Format,
    graph: Portable,
    embedder: Embedder,
    run: Run,
    photos: Photos,
    precision: str,
) -> Checks:
    """Compare the embeddings of an exported file with the run's.

    Raises:
        UserError: They differ by more than the tolerance, or are not finite.
    """
    expected = _scaled(embedder.embed(photos.files, boxes=photos.boxes), graph)
    length = float(np.linalg.norm(expected, axis=1).mean()) or 1.0
    resized = _resized(photos, graph)
    found = np.concatenate(
        [reader.images(resized[at : at + BATCH]) for at in range(0, len(resized), BATCH)]
    )
    if found.shape != expected.shape or not np.isfinite(found).all():
        raise UserError(
            f"{run.path}: the exported file gives embeddings of shape {found.shape} that are no "
            f"numbers, where the run's are {expected.shape}; nothing was written"
        )
    differences = {f"photos resized to {_size_text(graph)}": _largest(found, expected, length)}
    if reader.encoded is not None and photos.boxes is None:
        encoded = reader.encoded([Path(file).read_bytes() for file in photos.files])
        differences["bytes of the photos' files"] = _largest(encoded, expected, length)
    whole = photos.files[:CHECKED_WHOLE]
    if kind.any_size:
        pixels = [tf.io.decode_image(Path(f).read_bytes(), 3, expand_animations=False).numpy()
                  for f in whole]  # fmt: skip
        of_pixels = _scaled(embedder.embed(pixels), graph)
        one_by_one = np.concatenate([reader.images(each[None]) for each in pixels])
        differences["photos at their own size"] = _largest(one_by_one, of_pixels, length)
    tolerance = TOLERANCES.get(precision)
    if tolerance is not None:
        for what, difference in differences.items():
            if not difference <= tolerance:
                raise UserError(
                    f"{run.path}: embeddings of {what} differ from the run's by {difference:.1e}, "
                    f"more than {tolerance:.0e}; nothing was written, please report it"
                )
    stored = None
    if photos.rows is not None and _is_own(run, embedder):
        stored = _largest(found, _scaled(np.asarray(run.embeddings[photos.rows]), graph), length)
        if tolerance is not None and not stored <= tolerance:
            raise UserError(
                f"{run.path}: the file agrees with the checkpoint, whose embeddings differ from "
                f"those that the run stores by {stored:.1e}: its photos have changed; embed them "
                f"again with `retrieval embed {run.path}`, or pass --images DIR"
            )
    return Checks(
        n=len(found),
        origin=photos.origin,
        n_whole=len(whole),
        differences=differences,
        tolerance=tolerance,
        stored=stored,
        by_pillow=_cosine_elsewhere(reader, kind, graph, photos, expected, drafted=True),
        in_full=_cosine_elsewhere(reader, kind, graph, photos, expected, drafted=False),
        change=None if precision == DEFAULT_PRECISION else _change(run, photos, expected, found),
    )


def _scaled(embeddings: np.ndarray, graph: Portable) -> np.ndarray:
    return unit_rows(embeddings) if graph.normalize else np.asarray(embeddings)


def unit_rows(embeddings: np.ndarray) -> np.ndarray:
    """Scale the rows of (n, D) to unit length; a zero row stays zero."""
    norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return np.asarray(embeddings, np.float32) / np.maximum(norms, 1e-12)


def _largest(found: np.ndarray, expected: np.ndarray, length: float) -> float:
    return float(np.abs(found - expected).max()) / length


def _size_text(graph: Portable) -> str:
    return f"{graph.loaded[0]} x {graph.loaded[1]} px"


def _cosine_elsewhere(
    reader: Opened,
    kind: Format,
    graph: Portable,
    photos: Photos,
    expected: np.ndarray,
    *,
    drafted: bool,
) -> float:
    """Return the least cosine with the run's embeddings where Pillow decodes, as in the card.

    Args:
        reader: The exported file.
        kind: Its format.
        graph: What was exported.
        photos: The photos.
        expected: The run's embeddings of them.
        drafted: Whether the JPEG decoder shrinks large photos first, as that of the run does.
    """
    height, width = graph.loaded
    least = 1.0
    for row, file in enumerate(photos.files[:CHECKED_WHOLE]):
        with Image.open(file) as opened:
            if drafted and photos.boxes is None:
                opened.draft("RGB", (width, height))
            photo = opened.convert("RGB")
            if photos.boxes is not None:
                x, y, w, h = (round(float(each)) for each in photos.boxes[row])
                photo = photo.crop((x, y, x + max(w, 1), y + max(h, 1)))
            photo = ImageOps.exif_transpose(photo)
        if not kind.any_size:
            photo = photo.resize((width, height), Image.Resampling.BILINEAR)
        found = unit_rows(reader.images(np.asarray(photo)[None]))
        least = min(least, float(found[0] @ unit_rows(expected[row : row + 1])[0]))
    return least


def _change(run: Run, photos: Photos, before: np.ndarray, after: np.ndarray) -> Change:
    """Search the run's gallery with the run's embeddings and with those of the file."""
    before, after = unit_rows(before), unit_rows(after)
    if photos.rows is None:
        gallery, own = before, np.arange(len(before))
        labels = None
        of = "among these photos"
    else:
        gallery = run.embeddings
        own = photos.rows
        labels = run.items["label"].to_numpy()
        of = "in the run's gallery"
    allowed = np.ones(len(gallery), bool)
    if photos.rows is not None:
        allowed = run.items["role"].to_numpy() != "query"
    one, other = (_nearest(each, gallery, allowed, own) for each in (before, after))
    known = (one >= 0) & (other >= 0)
    recall = None
    if labels is not None:
        pool = labels[allowed]
        counts = {label: int((pool == label).sum()) for label in set(labels[own])}
        has = np.array([counts[labels[row]] - int(allowed[row]) > 0 for row in own]) & known
        if has.any():
            wanted = labels[own[has]]
            recall = tuple(float((labels[ids[has]] == wanted).mean()) for ids in (one, other))
    cosines = (before * after).sum(axis=1)
    return Change(
        n=int(known.sum()),
        of=of,
        same_nearest=int((one == other)[known].sum()),
        recall_before=None if recall is None else recall[0],
        recall_after=None if recall is None else recall[1],
        mean_cosine=float(cosines.mean()),
        least_cosine=float(cosines.min()),
    )


def _nearest(
    queries: np.ndarray, gallery: np.ndarray, allowed: np.ndarray, own: np.ndarray
) -> np.ndarray:
    """Return the row of the gallery item of the greatest cosine, not the query itself; -1 if none.

    Args:
        queries: (q, D), of unit length.
        gallery: (g, D), of any length.
        allowed: bool (g,), which items are in the gallery.
        own: (q,), the row of each query.
    """
    best, at = np.full(len(queries), -np.inf), np.full(len(queries), -1)
    for start in range(0, len(gallery), GALLERY_ROWS):
        block = unit_rows(np.asarray(gallery[start : start + GALLERY_ROWS]))
        similar = queries @ block.T
        similar[:, ~allowed[start : start + len(block)]] = -np.inf
        inside = (own >= start) & (own < start + len(block))
        similar[np.flatnonzero(inside), own[inside] - start] = -np.inf
        nearest = similar.argmax(axis=1)
        value = similar[np.arange(len(queries)), nearest]
        better = value > best
        best[better], at[better] = value[better], nearest[better] + start
    return at


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return sum(each.stat().st_size for each in files)


def lines_of(made: Exported) -> list[str]:
    """Say what was written and how it was checked, line by line.

    Args:
        made: What :func:`export_network` returned.
    """
    height, width = made.sides
    taken = "of any size" if made.any_size else f"of {height} x {width} px only"
    lines = [
        f"{made.path}: {made.size / 1e6:.1f} MB; takes uint8 images {taken}, returns embeddings of "
        f"{made.width} dimensions"
    ]
    if made.checks is None:
        lines.append("not checked against the run, as --no-check asked")
    else:
        lines += [*made.checks.lines()]
    lines.append(f"{made.card}: the model card")
    return lines
