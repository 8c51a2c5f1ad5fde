"""``retrieval embed RUN --images``: any images to a file of vectors, with a run's network.

Images are embedded in parts, so that memory does not grow with their number, and a command that was
interrupted goes on after its last complete part. The file appears as a whole, and the run stays as
it is.
"""

import dataclasses
import functools
import hashlib
import os
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from retrieval.datasets.checks import hash_of, unreadable_message
from retrieval.datasets.containment import linked_folders
from retrieval.datasets.image_health import examine_files
from retrieval.datasets.image_lists import ImageList, read_images
from retrieval.deployment.embedder import Embedder, check_finite, load_embedder, settings_of
from retrieval.errors import UserError, counted
from retrieval.experiment.pipeline import Announce
from retrieval.files import file_stamps
from retrieval.runs.embedding_output import (
    Output,
    arrow_columns,
    check_output,
    check_outside,
    output_lock,
    write_output,
)
from retrieval.runs.embedding_parts import Part, Parts
from retrieval.training.devices import say_devices
from retrieval.training.interruption import check_stop

PART_IMAGES = 4096  # images per part; a multiple of the batch
STRICT = "replace or remove what is at fault, or leave it out: drop --strict"
VERSION = 1  # of the parts; raise it when they hold something else


@dataclass(frozen=True)
class EmbeddedImages:
    """What was written.

    Attributes:
        out: The file of the embeddings.
        n: Number of embeddings.
        width: Their dimension.
        views: Names of the test-time views.
        step: Step of the checkpoint; None for an untrained network.
        skipped: Path -> reason of images that were left out.
    """

    out: Path
    n: int
    width: int
    views: tuple[str, ...]
    step: int | None
    skipped: dict[str, str]


def embed_to_file(
    run: Path | str,
    images: Path | str,
    out: Path | str,
    *,
    image_root: Path | str | None = None,
    named: Mapping[str, str] | None = None,
    metadata: str | None = None,
    checkpoint: str | None = None,
    test_time: str | None = None,
    test_time_mean: str | None = None,
    strict: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    announce: Announce | None = None,
) -> EmbeddedImages:
    """Embed any images with the network of a run, and write the vectors to a file.

    Image size, pooling and test-time views are those of the run. Images are used whole, without the
    bounding boxes of a data set. The run is not changed.

    Args:
        run: The folder of a trained run, or of one of an untrained network.
        images: A folder of images, or a list; see
            :func:`retrieval.datasets.image_lists.read_images`.
        out: The file to write: ``.h5``, ``.npy`` or ``.parquet``; see
            :mod:`retrieval.runs.embedding_output`.
        image_root: Folder that the paths of a list are relative to. Defaults to the folder of
            the list.
        named: ``label`` or ``path`` -> name of that column of a list, or of the table in a folder.
            Defaults to the usual names.
        metadata: Table of a folder's images, or ``none``. Defaults to the one that lies in it.
        checkpoint: ``latest``, ``best`` or the step of any kept checkpoint. Defaults to that of the
            run's settings.
        test_time: Test-time views, e.g. ``flip+five_crop``. Defaults to the run's own.
        test_time_mean: Average over the views, ``normalized`` or ``plain``. Defaults to the run's
            own.
        strict: Whether to refuse images that are missing or damaged. Defaults to False: they are
            left out, and listed with the reasons beside the file.
        overwrite: Whether to replace the file and the lists beside it. Defaults to False.
        progress: Whether to show a progress bar. Defaults to True.
        announce: Called with each line that a user may want to read. Defaults to None, no call.

    Returns:
        What was written.

    Raises:
        Interrupted: The signal SIGINT or SIGTERM has arrived; the same command goes on.
        UserError: There is no such run or checkpoint, the images cannot be read, the file exists,
            or another process writes it.
    """
    path, out, say = Path(run), Path(out), announce or (lambda _: None)
    source = Path(images)
    check_output(out, overwrite=overwrite, inputs=[source])
    settings = settings_of(path, test_time, test_time_mean)
    check_outside(path, out)
    listed = read_images(source, image_root, strict=strict, named=named, metadata=metadata)
    for line in listed.remarks:
        say(line)
    with output_lock(out):
        check_output(out, overwrite=overwrite, inputs=[source])  # another process may have made it
        embedder = load_embedder(
            path, checkpoint, test_time=test_time, test_time_mean=test_time_mean
        )
        say_devices(settings)
        parts = Parts.of(out)
        parts.begin(_plan(embedder, listed), restart=overwrite)
        try:
            _embed_parts(embedder, listed, parts, strict=strict, progress=progress)
        except KeyboardInterrupt as error:
            saved = min(parts.count() * PART_IMAGES, len(listed))
            error.args = (
                f"{error or 'interrupted'}: {saved:,} of {counted(len(listed), 'image')} are saved "
                f"in {parts.folder}; go on with the same command",
            )
            raise
        except Exception:
            if not parts.count():
                parts.remove()
            raise
        made = _publish(out, parts, embedder, listed, strict=strict)
        parts.remove()
    return made


def _plan(embedder: Embedder, listed: ImageList) -> dict[str, object]:
    """Return what tells the parts of this command from those of another one."""
    digest = hashlib.sha256()
    for values in (listed.paths, listed.labels or (), listed.roles or ()):
        for value in values:
            digest.update(value.encode(errors="surrogateescape") + b"\0")
        digest.update(b"\1")
    if listed.metadata is not None:
        digest.update(pd.util.hash_pandas_object(listed.metadata).to_numpy().tobytes())
    return {
        "version": VERSION,
        "part": PART_IMAGES,
        "images": len(listed),
        "list": digest.hexdigest(),
        "root": str(listed.root),
        "step": embedder.step,
        "weights": embedder.digest,
        "settings": hash_of(sorted(embedder.settings.to_mapping().items(), key=lambda x: x[0])),
    }


def _embed_parts(
    embedder: Embedder,
    listed: ImageList,
    parts: Parts,
    *,
    strict: bool,
    progress: bool,
) -> None:
    """Embed all parts that are not there yet.

    The files of the next part are checked while those of a part are embedded.
    """
    starts = range(0, len(listed), PART_IMAGES)
    with (
        tqdm(
            total=len(listed), desc="embedding", unit="img", smoothing=0, disable=not progress
        ) as bar,
        ThreadPoolExecutor(1) as pool,
    ):
        checks: dict[int, Future[Checked]] = {}

        def check(number: int) -> None:
            if number < len(starts) and number not in checks:
                checks[number] = pool.submit(_check, parts, number, listed, starts[number])

        try:
            for number, start in enumerate(starts):
                check(number)
                checked = checks.pop(number).result()
                check(number + 1)
                if checked.is_done:
                    done = min(PART_IMAGES, len(listed) - start)
                    if progress:
                        bar.initial += (
                            done  # so that the speed and the time left are of this command
                        )
                    bar.update(done)
                    continue
                if checked.problems and strict:
                    raise UserError(unreadable_message(listed.root, checked.problems, STRICT))
                parts.save(number, _embed_part(embedder, listed, start, checked, bar))
                check_stop()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True)
class Checked:
    """What was found about the files of a part.

    Attributes:
        stamp: What tells the files from changed ones.
        is_done: Whether they are embedded already.
        problems: Path -> what is wrong with an image.
    """

    stamp: str
    is_done: bool
    problems: Mapping[str, str]


def _check(parts: Parts, number: int, listed: ImageList, start: int) -> Checked:
    files = listed.files(start, start + PART_IMAGES)
    stamp = hash_of(file_stamps(files))
    if parts.has(number, stamp):
        return Checked(stamp, True, {})
    named = zip(listed.paths[start : start + PART_IMAGES], examine_files(files), strict=True)
    return Checked(stamp, False, {p: h.problem for p, h in named if h.problem is not None})


def _embed_part(
    embedder: Embedder, listed: ImageList, start: int, checked: Checked, bar: tqdm
) -> Part:
    names = listed.paths[start : start + PART_IMAGES]
    rows = np.array(
        [row for row, name in enumerate(names, start) if name not in checked.problems], np.int64
    )
    bar.update(len(names) - len(rows))
    width, n_views = embedder.width, len(embedder.views)
    if not len(rows):
        none, no_views = np.empty((0, width), np.float32), np.empty((n_views, 0, width), np.float32)
        return Part(rows, none, no_views, dict(checked.problems), checked.stamp)
    files, combined, each = listed.files(start, start + len(names)), [], []
    for views in embedder.embed_views([files[row - start] for row in rows]):
        combined.append(embedder.combine(views))
        if n_views > 1:
            each.append(np.moveaxis(views, 1, 0))
        bar.update(len(views))
    embeddings = np.concatenate(combined).astype(np.float32)
    check_finite(embeddings, [files[row - start] for row in rows])
    views = (
        np.concatenate(each, axis=1).astype(np.float32)
        if each
        else np.empty((0, *embeddings.shape), np.float32)
    )
    return Part(rows, embeddings, views, dict(checked.problems), checked.stamp)


def _publish(
    out: Path, parts: Parts, embedder: Embedder, listed: ImageList, *, strict: bool
) -> EmbeddedImages:
    """Write the file from its parts."""
    n = 0
    skipped: dict[str, str] = {}
    for part in parts:
        n += len(part.rows)
        skipped |= part.skipped
    if skipped and strict:  # left out by an interrupted command that was to
        raise UserError(unreadable_message(listed.root, skipped, STRICT))
    if not n:
        raise UserError(unreadable_message(listed.root, skipped, "no image can be read"))
    root = listed.common_root()
    names = (os.path.relpath(path, root) if os.path.isabs(path) else path for path in listed.paths)
    source = dataclasses.replace(
        embedder.source, images=str(root), linked_roots=linked_folders(root, names)
    )
    columns = {"path": listed.paths}
    if listed.labels is not None:
        columns["label"] = listed.labels
    if listed.roles is not None:
        columns["role"] = listed.roles
    views = embedder.views
    made = arrow_columns(columns, listed.metadata)
    again = functools.partial(iter, parts)
    write_output(out, Output(again, made, n, embedder.width, views, skipped, source))
    return EmbeddedImages(out, n, embedder.width, tuple(views), embedder.step, skipped)
