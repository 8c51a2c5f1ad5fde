"""``retrieval embed RUN --images``: any images to a file of vectors, with a run's network.

Images are embedded in parts, so that memory does not grow with their number, and a command that was
interrupted goes on after its last complete part. Parts are embedded one after the other here, or by
the actors of a Ray cluster at once; the one may go on where the other stopped, and their vectors
are the same. The output appears as a whole, and the run stays as it is.
"""

import contextlib
import dataclasses
import functools
import hashlib
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from tqdm.auto import tqdm

from retrieval.cluster import (
    LOCAL,
    Outcome,
    Resources,
    check_on,
    check_shared,
    connected,
    nodes,
    run_on_actors,
)
from retrieval.datasets.checks import hash_of, unreadable_message
from retrieval.datasets.containment import linked_folders
from retrieval.datasets.image_lists import read_images
from retrieval.deployment.embedder import (
    ChosenNetwork,
    choose_network,
    folder_of,
    load_embedder,
    settings_of,
)
from retrieval.deployment.image_parts import (
    PART_IMAGES,
    STRICT,
    Checked,
    Done,
    ImageParts,
    check_part,
    embed_part,
    part_worker,
)
from retrieval.errors import UserError, counted
from retrieval.experiment.pipeline import Announce
from retrieval.failures import as_user_error
from retrieval.runs.embedding_output import (
    Output,
    arrow_columns,
    check_output,
    check_outside,
    is_folder_output,
    keeps_views,
    output_lock,
    publish_folder,
    write_output,
)
from retrieval.runs.embedding_parts import Parts
from retrieval.storage.addresses import address_of
from retrieval.training.devices import say_devices
from retrieval.training.interruption import check_stop, interrupted
from retrieval.validation import check_integer

VERSION = 2  # of the parts; raise it when they hold something else
FAILED = 20  # parts that may fail before the others are given up
SHOWN = 5  # numbers of failed parts in a message


@dataclass(frozen=True)
class EmbeddedImages:
    """What was written.

    Attributes:
        out: The file or folder of the embeddings.
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


@dataclass(frozen=True)
class Actors:
    """Where and by how many parts are embedded at a time.

    Attributes:
        on: ``local`` for this process, or a Ray cluster; see
            :func:`retrieval.cluster.connected`. Defaults to ``local``.
        count: Number of actors. Defaults to None: as many as the cluster has room for.
        cpus: Processors of each. Defaults to 1.
        gpus: GPUs of each; a fraction shares one. Defaults to 0.
    """

    on: str = LOCAL
    count: int | None = None
    cpus: float = 1
    gpus: float = 0


HERE = Actors()


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
    part_images: int = PART_IMAGES,
    actors: Actors = HERE,
    overwrite: bool = False,
    progress: bool = True,
    announce: Announce | None = None,
) -> EmbeddedImages:
    """Embed any images with the network of a run, and write the vectors to a file.

    Image size, pooling and test-time views are those of the run. Images are used whole, without the
    bounding boxes of a data set. The run is not changed.

    Args:
        run: The folder of a trained run, or of one of an untrained network; or its URL.
        images: A folder of images, or a list; see
            :func:`retrieval.datasets.image_lists.read_images`.
        out: The file to write: ``.h5``, ``.npy`` or ``.parquet``; see
            :mod:`retrieval.runs.embedding_output`. A name without an ending is a folder, in which
            the vectors stay in parts.
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
        part_images: Images per part: what an interruption costs at most, and what an actor is given
            at a time. A multiple of 64 fills the batches. Defaults to 4096.
        actors: Where parts are embedded, and by how many at a time. Defaults to this process.
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
    path, out, say = folder_of(run), Path(out), announce or (lambda _: None)
    source, size = Path(images), check_integer("part_images", part_images, least=1)
    check_on(actors.on)
    check_output(out, overwrite=overwrite, inputs=[source])
    settings_of(path, test_time, test_time_mean)
    check_outside(path, out)
    listed = read_images(source, image_root, strict=strict, named=named, metadata=metadata)
    for line in listed.remarks:
        say(line)
    with output_lock(out):
        check_output(out, overwrite=overwrite, inputs=[source])  # another process may have made it
        choice = {
            "checkpoint": checkpoint, "test_time": test_time, "test_time_mean": test_time_mean
        }  # fmt: skip
        chosen = choose_network(path, **choice)
        wanted, parts = ImageParts(listed, size), Parts.of(out)
        plan = _plan(chosen, wanted)
        parts.begin(plan, restart=overwrite)
        task = _Task(chosen, choice, wanted, parts, plan, strict, keeps_views(out))
        try:
            with tqdm(
                total=len(listed), desc="embedding", unit="img", smoothing=0, disable=not progress
            ) as bar:
                if actors.on == LOCAL:
                    _embed_here(task, bar)
                else:
                    _embed_on_cluster(task, actors, bar, say)
        except KeyboardInterrupt as error:
            saved = min(parts.count() * size, len(listed))
            words = f"{saved:,} of {counted(len(listed), 'image')} are saved in {parts.folder}"
            raise interrupted(error, f": {words}; go on with the same command") from None
        except Exception:
            if not parts.count():
                parts.remove()
            raise
        made = _publish(out, task)
        parts.remove()
    return made


def _plan(chosen: ChosenNetwork, wanted: ImageParts) -> dict[str, object]:
    """Return what tells the parts of this command from those of another one."""
    listed, digest = wanted.listed, hashlib.sha256()
    for values in (listed.paths, listed.labels or (), listed.roles or ()):
        for value in values:
            digest.update(value.encode(errors="surrogateescape") + b"\0")
        digest.update(b"\1")
    if listed.metadata is not None:
        digest.update(pd.util.hash_pandas_object(listed.metadata).to_numpy().tobytes())
    return {
        "version": VERSION,
        "part": wanted.size,
        "images": len(listed),
        "list": digest.hexdigest(),
        "root": str(listed.root),
        "step": chosen.step,
        "weights": chosen.digest,
        "settings": hash_of(sorted(chosen.settings.to_mapping().items(), key=lambda x: x[0])),
    }


@dataclass(frozen=True)
class _Task:
    """All that is needed to embed the parts that are not there yet.

    Attributes:
        chosen: The network.
        choice: What it was chosen by: keywords of
            :func:`retrieval.deployment.embedder.load_embedder`.
        wanted: The images in parts.
        parts: Where the parts are written.
        plan: What they are parts of.
        strict: Whether to refuse images that are missing or damaged.
        keep_views: Whether to keep each test-time view for itself.
    """

    chosen: ChosenNetwork
    choice: Mapping[str, str | None]
    wanted: ImageParts
    parts: Parts
    plan: Mapping[str, object]
    strict: bool
    keep_views: bool


def _embed_here(task: _Task, bar: tqdm) -> None:
    """Embed in this process all parts that are not there yet.

    The files of the next part are checked while those of a part are embedded.
    """
    embedder = load_embedder(task.chosen.path, **task.choice)
    say_devices(task.chosen.settings)
    wanted, checks = task.wanted, dict[int, Future[Checked]]()
    with ThreadPoolExecutor(1) as pool:

        def check(number: int) -> None:
            if number < len(wanted) and number not in checks:
                checks[number] = pool.submit(
                    check_part, task.parts, wanted[number], strict=task.strict
                )

        try:
            for part in wanted:
                check(part.number)
                checked = checks.pop(part.number).result()
                check(part.number + 1)
                if checked.is_done:
                    _count(bar, Done(part.number, len(part), is_new=False))
                    continue
                vectors = embed_part(
                    embedder, part, checked, keep_views=task.keep_views, advance=bar.update
                )
                task.parts.save(part.number, vectors)
                check_stop()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _count(bar: tqdm, done: Done) -> None:
    """Show that a part is done; the speed and the time left are those of this command."""
    if not done.is_new and not bar.disable:
        bar.initial += done.images
    bar.update(done.images)


def _embed_on_cluster(task: _Task, actors: Actors, bar: tqdm, say: Announce) -> None:
    """Embed on a Ray cluster all parts that are not there yet.

    Raises:
        UserError: A node does not see the folder of the parts; or parts failed, and which: the
            others are there.
    """
    resources = Resources(actors.cpus, actors.gpus)
    arguments = {
        "run": address_of(task.chosen.path) or task.chosen.path.resolve(),
        "choice": task.choice,
        "folder": task.parts.folder.resolve(),
        "plan": task.plan,
        "strict": task.strict,
        "keep_views": task.keep_views,
        "threads": max(1, int(actors.cpus)),
        "on_gpu": actors.gpus > 0,
    }
    failed: dict[int, Exception] = {}
    with connected(actors.on):
        check_shared(task.parts.folder)
        found = nodes()
        count = actors.count or max(1, sum(map(resources.copies, found)))
        say(
            f"on {counted(min(count, len(task.wanted)), 'actor')} of {resources} each; the cluster "
            f"has {counted(len(found), 'node')}"
        )
        outcomes = run_on_actors(
            part_worker, arguments, task.wanted, actors=count, resources=resources
        )
        for outcome in _stopping(outcomes):
            if outcome.error is None:
                _count(bar, outcome.value)
                continue
            if task.strict and isinstance(outcome.error, UserError):
                raise outcome.error
            failed[outcome.index] = outcome.error
            if len(failed) == FAILED:
                break
    if failed:
        raise UserError(_failure_message(task, failed))


def _stopping(outcomes: Iterator[Outcome]) -> Iterator[Outcome]:
    """Yield outcomes; a signal stops between two of them, and all actors end in any case."""
    with contextlib.closing(outcomes):  # type: ignore[type-var]  # a generator
        for outcome in outcomes:
            check_stop()
            yield outcome


def _failure_message(task: _Task, failed: Mapping[int, Exception]) -> str:
    numbers = sorted(failed)
    shown = ", ".join(map(str, numbers[:SHOWN])) + (", ..." if len(numbers) > SHOWN else "")
    first = task.wanted[numbers[0]]
    error = failed[numbers[0]]
    reason = as_user_error(error) or f"{type(error).__name__}: {' '.join(str(error).split())}"
    given_up = ", and the rest was given up" if len(numbers) == FAILED else ""
    return (
        f"{counted(len(numbers), 'part')} of {len(task.wanted):,} failed ({shown}){given_up}; part "
        f"{first.number}, images {first.start:,} to {first.start + len(first) - 1:,} of the list: "
        f"{reason}; the others are saved in {task.parts.folder}: go on with the same command"
    )


def _publish(out: Path, task: _Task) -> EmbeddedImages:
    """Make the output of the finished parts."""
    parts, listed, total, chosen = task.parts, task.wanted.listed, len(task.wanted), task.chosen
    n = width = 0
    skipped: dict[str, str] = {}
    for number in range(total):
        record = parts.record(number)
        n, width = n + len(record.rows), record.width
        skipped |= record.skipped
    if skipped and task.strict:  # left out by an interrupted command that was to
        raise UserError(unreadable_message(listed.root, skipped, STRICT))
    if not n:
        raise UserError(unreadable_message(listed.root, skipped, "no image can be read"))
    root = listed.common_root()
    names = (os.path.relpath(path, root) if os.path.isabs(path) else path for path in listed.paths)
    source = dataclasses.replace(
        chosen.source(width), images=str(root), linked_roots=linked_folders(root, names)
    )
    columns = {"path": listed.paths}
    if listed.labels is not None:
        columns["label"] = listed.labels
    if listed.roles is not None:
        columns["role"] = listed.roles
    views, made = chosen.views, arrow_columns(columns, listed.metadata)
    again = functools.partial(parts.read_all, total)
    output = Output(again, made, n, width, views, skipped, source)
    if is_folder_output(out):
        publish_folder(out, parts, total, output)
    else:
        write_output(out, output)
    return EmbeddedImages(out, n, width, tuple(views), chosen.step, skipped)
