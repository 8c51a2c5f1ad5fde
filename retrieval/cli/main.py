"""The ``retrieval`` command: from ``fetch`` and ``train`` to ``report`` and ``app``.

Everything that the package prints for a user to read is printed here. Each command imports what it
needs when it runs, so that ``--help`` answers at once.
"""

import contextlib
import json
import os
import re
import shlex
import signal
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from retrieval.cli import search
from retrieval.cli.backbones import backbones
from retrieval.cli.cluster_options import Cpus, Gpus, GpusOfRun, On, Retries
from retrieval.cli.options import parse_ks, with_settings
from retrieval.cli.paths import RunPath, Runs, refuse_urls, showing_urls
from retrieval.cli.serving import serve
from retrieval.cli.trainings import trainings
from retrieval.cli.tuning import tune
from retrieval.cluster import LOCAL, Resources
from retrieval.errors import UserError, counted, one_line
from retrieval.failures import as_user_error
from retrieval.storage.addresses import located
from retrieval.training.interruption import EXIT_CODE, Interrupted, interrupted, stoppable
from retrieval.validation import (
    DEFAULT_DISTANCE,
    DEFAULT_KMEANS_START,
    DEFAULT_MISSING_LIST,
    DEFAULT_NO_POSITIVE,
    DEFAULT_TIES,
    DEFAULT_UNLISTED,
    Distance,
    ExportFormat,
    ExportPrecision,
    SearchDevice,
    Ties,
    listed,
)

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


class _Stopped(Exception):
    """A command was interrupted; Typer, which swallows ``KeyboardInterrupt``, lets this pass."""


class _Command(TyperCommand):
    """A command that is not run with a URL where it takes a path of this machine."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        for each in self.params:
            refuse_urls(max(each.opts, key=len), ctx.params.get(each.name))
        return super().invoke(ctx)


class _Commands(TyperGroup):
    """The commands, with what an interrupted one has to say."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise _Stopped from interrupted(error, "")


class _App(typer.Typer):
    """The command line, whose commands are all of one class."""

    def command(self, name: str | None = None, **options: Any) -> Any:
        """Return the decorator that adds a command."""
        return super().command(name, cls=_Command, **options)


app = _App(
    cls=_Commands,
    help="Train embeddings with ranking losses, evaluate them exactly and see what they get wrong."
    "\n\nA run is a folder `runs/DATASET/NAME`; `retrieval app` shows them all.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="markdown",
)
WEIGHTS = "weights"  # what `retrieval fetch` takes in place of a data set


@app.command()
def fetch(
    dataset: Annotated[
        str,
        typer.Argument(
            help="Name of the data set; `retrieval datasets` lists them. Or `weights`, followed by "
            "the name of a backbone."
        ),
    ],
    backbone: Annotated[
        str | None,
        typer.Argument(
            help="After `weights`: the backbone whose pretrained weights to fetch; `retrieval "
            "backbones` lists them."
        ),
    ] = None,
    image_size: Annotated[
        str | None,
        typer.Option(
            help="After `weights`: the image size of the training. MobileNet V1 and V2 have other "
            "weights for other sizes. Defaults to the backbone's own."
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder to put it in. Defaults to data/DATASET.")
    ] = None,
    archive: Annotated[
        Path | None,
        typer.Option(help="A copy of the public archive. Defaults to none: it is downloaded."),
    ] = None,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Fetch again what is missing or damaged in the folder."),
    ] = False,
    placeholder: Annotated[
        bool,
        typer.Option(
            "--placeholder",
            help="Write a small synthetic placeholder in the data set's format instead.",
        ),
    ] = False,
    stand_in: Annotated[  # the name of --placeholder in version 0.1.0
        bool, typer.Option("--stand-in", hidden=True)
    ] = False,
) -> None:
    """Download a data set (or take --archive), check its content and unpack it.

    `retrieval fetch weights BACKBONE` fetches pretrained weights, for a machine without network.
    """
    from retrieval.datasets import fetch_dataset
    from retrieval.datasets.placeholder import make_placeholder

    if dataset == WEIGHTS:
        made = [repair and "--repair", (placeholder or stand_in) and "--placeholder"]
        if given := [flag for flag in [*made, data and "--data"] if flag]:
            raise UserError(f"the weights of a backbone take no {', '.join(map(str, given))}")
        _fetch_weights(backbone, archive, image_size)
        return
    if image_size is not None:
        raise UserError(f"--image-size goes with `retrieval fetch {WEIGHTS} BACKBONE`")
    if backbone is not None:
        raise UserError(
            f"unexpected {backbone!r}: fetch one data set at a time, or "
            f"`retrieval fetch {WEIGHTS} {backbone}`"
        )
    if not (placeholder or stand_in):
        typer.echo(f"{dataset} is ready in {fetch_dataset(dataset, data, archive, repair=repair)}")
        return
    if repair:
        raise UserError("--placeholder takes no --repair: move a damaged placeholder away")
    if archive:
        raise UserError("--placeholder takes no --archive: it is made of photos that are here")
    root = make_placeholder(dataset, data)
    typer.echo(f"a synthetic placeholder for {dataset} is ready in {root}")


def _fetch_weights(backbone: str | None, archive: Path | None, image_size: str | None) -> None:
    from retrieval.models import BACKBONES

    if backbone is None:
        known = [name for name, entry in BACKBONES.items() if entry.weights_files is not None]
        raise UserError(f"name the backbone, `retrieval fetch {WEIGHTS} NAME`: {', '.join(known)}")
    from retrieval.quiet import import_tensorflow

    import_tensorflow()
    from retrieval.embedding.pretrained import fetch_weights

    typer.echo(fetch_weights(backbone, archive, image_size))


@app.command()
def datasets(
    data: Annotated[
        Path, typer.Option(help="Folder that holds the data sets, one folder each.")
    ] = Path("data"),
) -> None:
    """List the data sets: size, classes, license, and whether they are on this disk."""
    from retrieval.cli.tables import print_table
    from retrieval.datasets import list_datasets

    print_table(list_datasets(data))


@app.command()
def losses() -> None:
    """List the losses: recommended batch (P classes x K images), and options with defaults.

    The last line of each says what `retrieval tune` searches, and where its ranges come from.

    A setting that works better than a default that the published baseline defines is named with
    the measured difference.
    """
    from retrieval.quiet import import_tensorflow

    import_tensorflow()
    from retrieval.losses import LOSSES, get_loss, hint, recommended_options
    from retrieval.losses.registry import search_space

    width = max(map(len, LOSSES))
    for name, entry in LOSSES.items():
        summary = (type(get_loss(name)).__doc__ or "").splitlines()[0]
        batch = f"{entry.classes_per_batch} x {entry.samples_per_class}"
        typer.echo(f"{name:{width}}  {batch:>6}  {summary}")
        options = ", ".join(f"{k}={_short(v)}" for k, v in recommended_options(name).items())
        searched = ", ".join(f"{k} {each}" for k, each in search_space(name).items())
        space = f"searched: {searched}; {entry.space.source}"
        for line in filter(None, (options, hint(name, {}), space)):
            typer.echo(f"{'':{width}}  {'':>6}  {line}")


app.command()(backbones)


def _short(value: object) -> str:
    return str(float(f"{value:.3g}") if isinstance(value, float) else value)


@app.command()
def recipes() -> None:
    """List the published experiments that `retrieval train --recipe NAME` repeats.

    Each with its source, its published figures, and a note on what differs from the source.
    """
    from retrieval.report.published import published_text
    from retrieval.settings.recipes import load_recipe, recipe_names

    width = max(map(len, recipe_names()))
    for name in recipe_names():
        recipe = load_recipe(name)
        figures = published_text(recipe) or "no published figures"
        for head, words in ((name, recipe.title), ("", recipe.source), ("", figures)):
            typer.echo(f"{head:{width}}  {words}")
        indent = " " * (width + 2)
        for line in textwrap.wrap(recipe.note, 100 - len(indent), break_on_hyphens=False):
            typer.echo(f"{indent}{line}")


@app.command()
def settings() -> None:
    """Print the settings of `retrieval train` as a JSON schema, for editors and other programs."""
    from retrieval.settings.schema import TrainSettings

    typer.echo(json.dumps(TrainSettings.model_json_schema(), indent=2))


@app.command()
@with_settings
def train(
    *,
    changes: dict[str, Any],
    runs: Runs = Path("runs"),
    name: Annotated[
        str | None,
        typer.Option(
            help="Name of the run; of several runs, the beginning of their names. Defaults to the "
            "loss."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace runs of the same name.")] = False,
    evaluate: Annotated[bool, typer.Option(help="Embed and evaluate after training.")] = True,
    resume: Annotated[
        Path | None,
        typer.Option(
            help="Folder of an interrupted run to continue, or its URL. Defaults to none.",
            parser=located,
            metavar="RUN",
        ),
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            help="Checkpoint to --resume from: latest, best or a step; 0 is the start. Defaults to "
            "the latest."
        ),
    ] = None,
    seeds: Annotated[
        int,
        typer.Option(
            help="Number of repetitions, with seeds --seed, --seed + 1, ...", min=1, max=1000
        ),
    ] = 1,
    on: On = "local",
    cpus: Cpus = 1,
    gpus: GpusOfRun = None,
    retries: Retries = 3,
) -> None:
    """Train a run, then embed and evaluate it.

    `--loss all` evaluates the untrained network and trains the six losses of the published
    baseline, one after the other; with `--on ray`, side by side on a cluster.
    """
    from retrieval.quiet import import_tensorflow

    start = time.perf_counter()
    import_tensorflow()
    from retrieval.cli.watching import RunsView
    from retrieval.experiment.session import run_session
    from retrieval.experiment.tasks import Place

    def make() -> list[Path]:
        with RunsView() as view:
            return run_session(
                changes,
                runs=runs,
                name=name,
                overwrite=overwrite,
                evaluate=evaluate,
                resume_path=resume,
                checkpoint=checkpoint,
                seeds=seeds,
                announce=view.say,
                on_failure=lambda name, error: view.complain(f"{name}: {error}"),
                place=Place(on, cpus, gpus, retries),
                watch=view.update,
            )

    _show_runs(make, evaluated=evaluate)
    if evaluate:
        seconds = time.perf_counter() - start
        typer.echo(f"Finished in {seconds:.0f} s. Look at the runs with `retrieval app`.")


@app.command()
def sweep(
    grid: Annotated[
        Path,
        typer.Argument(
            help="YAML file with `base` settings and a `grid` of lists of values, or `grids`."
        ),
    ],
    runs: Runs = Path("runs"),
    on: On = "local",
    cpus: Cpus = 1,
    gpus: GpusOfRun = None,
    retries: Retries = 3,
) -> None:
    """Train every combination of a grid of losses, margins, seeds, ...

    Finished runs are skipped and interrupted ones continued. `--on ray` trains them side by side on
    a cluster.
    """
    from retrieval.quiet import import_tensorflow

    import_tensorflow()
    from retrieval.cli.watching import RunsView
    from retrieval.experiment.sweep import read_grid
    from retrieval.experiment.sweep import sweep as train_grid
    from retrieval.experiment.tasks import Place

    place = Place(on, cpus, gpus, retries)
    points = read_grid(grid)
    if len(points.runs) < points.combinations:
        typer.echo(
            f"{grid}: {points.combinations} combinations are {counted(len(points.runs), 'run')}: "
            "the others have the settings of an earlier one, with only the options that their loss "
            "takes"
        )

    def make() -> list[Path]:
        with RunsView() as view:
            return train_grid(
                points,
                runs=runs,
                announce=view.say,
                on_failure=lambda name, error: view.complain(f"{grid}: {name}: {error}"),
                place=place,
                watch=view.update,
            )

    _show_runs(make)


@app.command()
def embed(
    run: RunPath,
    test_time: Annotated[
        str | None,
        typer.Option(
            help="Test-time views, e.g. flip+five_crop. Defaults to those of the run's settings."
        ),
    ] = None,
    test_time_mean: Annotated[
        str | None,
        typer.Option(
            help="Average over the views: normalized or plain. Defaults to the run's setting."
        ),
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            help="Checkpoint to embed with: latest or best; with --images, also the step of any "
            "that is kept. Defaults to the run's setting."
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            help="Other images to embed: a folder with any folders in it, or a list (CSV, TSV, "
            "Parquet, JSON lines) with a column `path`. Its other columns are kept, and so are "
            "those of a table in the folder. Defaults to the test images of the run."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="File for the vectors of --images: .h5, .npy or .parquet. Without an ending, a "
            "folder in which they stay in parts, for more than one file should hold."
        ),
    ] = None,
    image_root: Annotated[
        Path | None,
        typer.Option(
            help="Folder that the paths in a list of --images are relative to. Defaults to the "
            "folder of the list."
        ),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(
            help="Column of the classes in a list of --images, or in the table of a folder. "
            "Defaults to the usual names."
        ),
    ] = None,
    path_column: Annotated[
        str | None,
        typer.Option(
            "--path",
            help="Column of the paths in a list of --images, or in the table of a folder. "
            "Defaults to the usual names.",
        ),
    ] = None,
    metadata: Annotated[
        str | None,
        typer.Option(
            help="Table of what is known of the photos of a folder, such as prices, or none. "
            "Defaults to the one that lies in the folder, as for `retrieval train`."
        ),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            help="Refuse --images of which any is missing or damaged. Otherwise, such images are "
            "left out, and listed with the reasons in a file beside --out.",
        ),
    ] = False,
    part_images: Annotated[
        int | None,
        typer.Option(
            help="Number of --images that are embedded and saved at a time, or by an actor. "
            "Defaults to 4096.",
            min=1,
        ),
    ] = None,
    on: On = LOCAL,
    actors: Annotated[
        int | None,
        typer.Option(
            help="Number of actors that embed --images on a Ray cluster. Defaults to as many as it "
            "has room for.",
            min=1,
        ),
    ] = None,
    cpus: Cpus = 1,
    gpus: Gpus = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace --out.")] = False,
) -> None:
    """Embed the test images of a trained run from its checkpoint, and evaluate them.

    With `--images` and `--out`, embed other images to a file; the run stays as it is. An
    interrupted command goes on where it stopped. With `--on ray`, the actors of a cluster share the
    work; the vectors are the same.
    """
    from retrieval.quiet import import_tensorflow

    named = {k: v for k, v in (("label", label), ("path", path_column)) if v is not None}
    if images is not None:
        if out is None:
            raise UserError(
                "--images needs --out FILE, which ends in .h5, .npy or .parquet, or --out FOLDER"
            )
        import_tensorflow()
        _embed_to_file(
            run,
            images,
            out,
            image_root=image_root,
            named=named,
            metadata=metadata,
            checkpoint=checkpoint,
            test_time=test_time,
            test_time_mean=test_time_mean,
            strict=strict,
            part_images=part_images,
            on=on,
            actors=actors,
            cpus=cpus,
            gpus=gpus,
            overwrite=overwrite,
        )
        return
    if out is not None:
        typed = shlex.join(["retrieval", "export", str(run), "--out", str(out)])
        raise UserError(
            f"--out is for the vectors of --images; those that the run stores: `{typed}`"
        )
    for flag, given in (
        ("--image-root", image_root is not None),
        ("--label", label is not None),
        ("--path", path_column is not None),
        ("--metadata", metadata is not None),
        ("--strict", strict),
        ("--part-images", part_images is not None),
        ("--on", on != LOCAL),
        ("--actors", actors is not None),
        ("--cpus", cpus != Resources.cpus),
        ("--gpus", gpus != Resources.gpus),
        ("--overwrite", overwrite),
    ):
        if given:
            raise UserError(f"{flag} goes with --images: add it, or drop {flag}")
    import_tensorflow()
    from retrieval.cli.paths import one_run
    from retrieval.cli.tables import print_runs
    from retrieval.experiment import pipeline

    run = one_run(run)
    path = pipeline.embed(
        run, test_time=test_time, test_time_mean=test_time_mean, checkpoint=checkpoint
    )
    print_runs([path])


def _embed_to_file(
    run: Path,
    images: Path,
    out: Path,
    *,
    part_images: int | None,
    on: str,
    actors: int | None,
    cpus: float,
    gpus: float,
    **options: Any,
) -> None:
    from retrieval.cli.paths import one_run
    from retrieval.deployment.embed_to_file import Actors, embed_to_file
    from retrieval.deployment.image_parts import PART_IMAGES
    from retrieval.runs.embedding_output import items_path, skipped_path

    for flag, given in (
        ("--actors", actors is not None),
        ("--cpus", cpus != Resources.cpus),
        ("--gpus", gpus != Resources.gpus),
    ):
        if given and on == LOCAL:
            raise UserError(f"{flag} goes with --on ray: add it, or drop {flag}")
    run = one_run(run)
    made = embed_to_file(
        run,
        images,
        out,
        part_images=PART_IMAGES if part_images is None else part_images,
        actors=Actors(on, actors, cpus, gpus),
        announce=typer.echo,
        **options,
    )
    of = "the untrained network" if made.step is None else f"the checkpoint of step {made.step}"
    views = f", of {len(made.views)} views each" if len(made.views) > 1 else ""
    vectors = counted(made.n, "vector")
    typer.echo(f"{out}: {vectors} of {made.width} dimensions{views}, by {of} of {run}")
    if (items := items_path(out)) is not None:
        typer.echo(f"{items}: the images, in the order of the vectors")
    if made.skipped:
        left_out = counted(len(made.skipped), "image")
        typer.echo(f"{skipped_path(out)}: {left_out} left out, with the reasons")


@app.command()
def export(
    run: RunPath,
    format: Annotated[
        str | None,
        typer.Option(
            help=f"Export the network: {listed(ExportFormat)}. Defaults to none: the embeddings "
            "that the run stores are written as a table."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="With --format, the folder to write to. Otherwise, the file of the table: .h5, "
            ".npy or .parquet.",
            show_default="exports, with --format",
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            help=f"How the network is stored: {listed(ExportPrecision)}; saved_model is float32 "
            "only. Defaults to float32."
        ),
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            help="Checkpoint to export: latest, best or the step of any that is kept. Defaults to "
            "the run's setting."
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            help="Folder or list of photos to check the exported file with. Defaults to the test "
            "images of the run."
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check/--no-check",
            help="Compare the embeddings of the exported file with the run's, and refuse a file "
            "that differs. The model card says so if it was not done.",
        ),
    ] = True,
    normalize: Annotated[
        bool,
        typer.Option(
            "--normalize/--no-normalize", help="Scale the embeddings of the file to unit length."
        ),
    ] = True,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
) -> None:
    """Export the network of a run for other programs, or the embeddings that it stores.

    With `--format`, one file (a folder for saved_model) that takes uint8 images and returns
    embeddings, preprocessing included, checked against the run on real photos, and a model card
    beside it. Without, a table of the vectors of the run's test images and their items.
    """
    from retrieval.cli.exporting import check_flags, export_embeddings, export_network

    given = {
        "precision": precision, "checkpoint": checkpoint, "images": images, "check": check,
        "normalize": normalize,
    }  # fmt: skip
    check_flags(format, out, given)
    if format is not None:
        export_network(run, format, out, overwrite=overwrite, **given)
    elif out is not None:
        export_embeddings(run, out, overwrite=overwrite)


app.command()(serve)

IGNORED_HELP = (
    "File of the pairs of a query and an item that its ranking leaves out, in a form of --qrels. "
    "Defaults to none."
)
Shards = Annotated[
    int | None,
    typer.Option(
        help="Number of parts of the gallery that are searched apart; finished ones survive a "
        "kill, and the result is the same. Defaults to one per 20 billion pairs of a query and an "
        "item, to no parts where all items search each other in memory, and to at least two per "
        "processor with --on.",
        show_default=False,
    ),
]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        help=f"Where similarities are computed: {listed(SearchDevice)}. The result is the same.",
    ),
]


def _names(text: str) -> tuple[str, ...]:
    """Split names that commas separate."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


@app.command()
def evaluate(
    run: RunPath,
    distance: Annotated[
        str | None,
        typer.Option(help=f"Distance: {listed(Distance)}. Defaults to that of the run's settings."),
    ] = None,
    no_positive: Annotated[
        str,
        typer.Option(
            help="What to do with queries without a relevant item in the gallery: exclude them "
            "from every mean, or score them zero."
        ),
    ] = DEFAULT_NO_POSITIVE,
    kmeans: Annotated[
        str | None,
        typer.Option(
            help="Initialization of the k-means behind NMI: greedy k-means++ or random; none "
            f"skips clustering. Defaults to {DEFAULT_KMEANS_START} up to a million items, and to "
            "none beyond.",
            show_default=False,
        ),
    ] = None,
    n_init: Annotated[
        int | None,
        typer.Option(
            help="Number of starts of k-means, of which the one of the least inertia counts. "
            "Defaults to 10 up to 1,000 classes and 50,000 items, and 3 beyond."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of k-means and of the confidence intervals.")] = 0,
    ks: Annotated[
        str,
        typer.Option(
            help="More values of K for Recall@K in addition to the usual ones, e.g. 3,5. Defaults "
            "to none.",
            show_default=False,
        ),
    ] = "",
    exclude_same: Annotated[
        str,
        typer.Option(
            help="Columns of the items, separated by commas, e.g. sequence: items that share the "
            "query's value are left out of its ranking. Defaults to the official protocol's.",
            show_default=False,
        ),
    ] = "",
    junk_same: Annotated[
        str,
        typer.Option(
            help="Columns likewise, e.g. camera: of the query's class only. Defaults to the "
            "official protocol's.",
            show_default=False,
        ),
    ] = "",
    qrels: Annotated[
        Path | None,
        typer.Option(
            help="File that says which items are relevant to each query, with grades if there are "
            "any; items are known by their path. The run keeps it. Defaults to what the run has, "
            "or the items of a query's class.",
            show_default=False,
        ),
    ] = None,
    ignored: Annotated[Path | None, typer.Option(help=IGNORED_HELP, show_default=False)] = None,
    metrics: Annotated[
        str,
        typer.Option(
            help="More metrics, e.g. map@100,minp,ndcg@10. Defaults to none.", show_default=False
        ),
    ] = "",
    keep_thumbnails: Annotated[
        bool,
        typer.Option(
            "--keep-thumbnails",
            help="Keep the thumbnails and do not look at the data set, which may have changed.",
        ),
    ] = False,
    text_queries: Annotated[
        list[str] | None,
        typer.Option(
            help="Search the run's images with the names of their classes, each within this "
            "prompt, e.g. 'a photo of a {}.' as in CLIP's paper, and write the result to RUN-text "
            "beside it. Of several prompts the embeddings are averaged. Defaults to none.",
            metavar="PROMPT",
            show_default=False,
        ),
    ] = None,
    text_name: Annotated[
        str | None, typer.Option(help="Name of the run of --text-queries. Defaults to RUN-text.")
    ] = None,
    compress: Annotated[
        bool,
        typer.Option(
            "--compress",
            help="Evaluate the embedding in smaller forms (narrower, float16, int8, binary, "
            "product quantization), under the run's protocols. Nothing else of it changes.",
        ),
    ] = False,
    widths: Annotated[
        str,
        typer.Option(
            help="With --compress: widths to reduce the embedding to, e.g. 96,48, besides powers "
            "of two and those that it was trained for. Defaults to none.",
            show_default=False,
        ),
    ] = "",
    on: On = LOCAL,
    shards: Shards = None,
    device: Device = "cpu",
) -> None:
    """Evaluate the embeddings of a run: metrics, neighbors, projection, thumbnails.

    With --compress, evaluate their smaller forms instead: what a byte per vector buys.
    """
    from retrieval.cli.compression import compress_and_print
    from retrieval.cli.paths import one_run
    from retrieval.cli.tables import print_runs
    from retrieval.runs.evaluate import EvaluationOptions, evaluate_run
    from retrieval.runs.sharding import Sharding

    run = one_run(run)
    if compress:
        others = {
            "--distance": distance,
            "--qrels": qrels,
            "--ignored": ignored,
            "--ks": ks,
            "--exclude-same": exclude_same,
            "--junk-same": junk_same,
            "--metrics": metrics,
            "--n-init": n_init,
            "--keep-thumbnails": keep_thumbnails,
            "--text-queries": text_queries,
            "--text-name": text_name,
            "--on": on if on != LOCAL else None,
            "--shards": shards,
            "--device": device if device != "cpu" else None,
        }
        compress_and_print(run, widths, [flag for flag, value in others.items() if value])
        return
    if widths:
        raise UserError("--widths goes with --compress: add it, or drop --widths")
    options = EvaluationOptions(
        no_positive=no_positive,
        kmeans=kmeans,
        n_init=n_init,
        seed=seed,
        ks=parse_ks(ks),
        exclude_same=_names(exclude_same),
        junk_same=_names(junk_same),
        metrics=_names(metrics),
    )
    if text_queries:
        from retrieval.quiet import import_tensorflow

        import_tensorflow()
        from retrieval.deployment.text_to_image import evaluate_texts

        for flag, given in (
            ("--distance", distance),
            ("--qrels", qrels),
            ("--ignored", ignored),
            ("--keep-thumbnails", keep_thumbnails),
            ("--on", on != LOCAL),
            ("--shards", shards),
            ("--device", device != "cpu"),
        ):
            if given:
                raise UserError(f"{flag} has no effect on --text-queries: drop one of the two")
        print_runs([evaluate_texts(run, text_queries, name=text_name, options=options)])
        return
    if text_name is not None:
        raise UserError("--text-name goes with --text-queries")
    evaluate_run(
        run,
        distance=distance,
        options=options,
        qrels=qrels,
        ignored=ignored,
        images=not keep_thumbnails,
        sharding=Sharding(on, shards, device),
    )
    print_runs([run])


@app.command()
def thresholds(run: RunPath) -> None:
    """Compare all pairs of a run: error rates of thresholds, their calibration, for the app too."""
    from retrieval.cli.paths import one_run
    from retrieval.cli.tables import print_thresholds
    from retrieval.runs.thresholds import FILE, write_thresholds

    run = one_run(run)
    for title, rates in write_thresholds(run).items():
        print_thresholds(title, rates)
    typer.echo(f"\nWritten: {run / FILE}")


@app.command()
def slices(
    run: Annotated[
        list[Path],
        typer.Argument(
            help="A run's folder, or two to compare; also the runs of two losses, several seeds "
            "each, or a folder that holds just these.",
            parser=located,
            metavar="RUN [RUN2]",
        ),
    ],
    by: Annotated[
        str,
        typer.Option(
            help="Column of the items to slice the queries by. Defaults to none: the columns are "
            "listed.",
            show_default=False,
        ),
    ] = "",
    metric: Annotated[
        str, typer.Option(help="Metric of the figures, e.g. map@r; one with a score per query.")
    ] = "recall@1",
    protocol: Annotated[
        str | None, typer.Option(help="Name of the protocol. Defaults to the primary one.")
    ] = None,
    bins: Annotated[
        int | None,
        typer.Option(
            help="Number of quantile bins of numbers and dates. Defaults to 4, or fewer where each "
            "would hold too few classes."
        ),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="File to write the figures to. Defaults to none.")
    ] = None,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", help="File to write the figures to. Defaults to none.")
    ] = None,
) -> None:
    """Compare slices of the queries (by store, class size, image size, ...), for a run or two.

    Without --by, list the columns. Slices in which two runs differ most come first; intervals and
    verdicts are adjusted over the slices shown.
    """
    from retrieval.cli.paths import runs_at
    from retrieval.cli.tables import print_columns, print_slices
    from retrieval.files import write_json, write_text
    from retrieval.report.sections import group_runs
    from retrieval.report.slices import slice_losses, slices_json, slices_table
    from retrieval.report.spreadsheet import spreadsheet_csv
    from retrieval.runs.store import open_run

    given = [path.resolve() for one in run for path in runs_at(one)]
    opened = [open_run(path) for path in dict.fromkeys(given)]
    if not by:
        if json_file or csv_file:
            raise UserError("--json and --csv write slices: choose a column with --by")
        print_columns(opened[0], protocol)
        return
    groups = group_runs(opened)
    if len(groups) > 2:
        raise UserError(
            f"slices are of one loss or of two, and these are {len(groups)}: {', '.join(groups)}"
        )
    sliced = slice_losses(groups, by, protocol, metric, bins)
    print_slices(sliced, opened[0].result(protocol).title)
    if json_file:
        write_json(json_file, slices_json(sliced))
        typer.echo(f"Written: {json_file}")
    if csv_file:
        write_text(csv_file, spreadsheet_csv(slices_table(sliced)))
        typer.echo(f"Written: {csv_file}")


@app.command("import")
def import_(
    embeddings: Annotated[
        Path | None,
        typer.Option(
            help="File of the embeddings: .npy, .npz, .h5, .parquet, .csv, .tsv, .pt or .pth; or a "
            "folder of vectors in parts.",
            show_default=False,
        ),
    ] = None,
    items: Annotated[
        Path | None,
        typer.Option(
            help="CSV, TSV, Parquet or JSON lines file of the items, one row per embedding: "
            "`label`, `path`, `role` (or `is_query` and `is_gallery`), all optional, and others, "
            "which are kept. Without a header, rows are `label,path`. For --ranked, with the ids "
            "of the lists in the column `id`. Defaults to the other columns of a table of "
            "embeddings, or else to items without classes.",
            show_default=False,
        ),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(
            help="Column of --items with the classes, or none for items without classes. Defaults "
            "to label.",
            show_default=False,
        ),
    ] = None,
    path_column: Annotated[
        str | None,
        typer.Option(
            "--path",
            help="Column of --items with the images' paths. Defaults to the usual names.",
            show_default=False,
        ),
    ] = None,
    ranked: Annotated[
        list[Path] | None,
        typer.Option(
            help="In place of --embeddings: file of ranked lists (a TREC run; .csv, .tsv or .jsonl "
            "of query, item and score; .json as of pytrec_eval or MTEB; predictions of "
            "sentence-transformers). May be repeated: a run from each, over the same items.",
            show_default=False,
        ),
    ] = None,
    qrels: Annotated[
        Path | None,
        typer.Option(
            help="What is relevant to each query, with grades if there are any, in any of these "
            "forms; items are known by their id, or else their path. Defaults to the items of its "
            "class in --items.",
            show_default=False,
        ),
    ] = None,
    ignored: Annotated[Path | None, typer.Option(help=IGNORED_HELP, show_default=False)] = None,
    ties: Annotated[
        str,
        typer.Option(help=f"Order of equal scores of --ranked by id, {listed(Ties)}."),
    ] = DEFAULT_TIES,
    unlisted: Annotated[
        str,
        typer.Option(
            help="Relevant items that --ranked lacks: `unknown` leaves out the figures that they "
            "could change; `never` counts them as never found, as trec_eval does."
        ),
    ] = DEFAULT_UNLISTED,
    missing: Annotated[
        str,
        typer.Option(
            help="Queries without a list in --ranked: `zero` (found nothing) or `exclude`, as "
            "pytrec_eval does."
        ),
    ] = DEFAULT_MISSING_LIST,
    same_ids: Annotated[
        bool,
        typer.Option(
            "--same-ids",
            help="An item of --ranked with the id of the query is the query itself, and left out. "
            "Always so with --items.",
        ),
    ] = False,
    lower_is_nearer: Annotated[
        bool, typer.Option("--lower-is-nearer", help="The scores of --ranked are distances.")
    ] = False,
    part: Annotated[
        str,
        typer.Option(
            help="Which result of a .json file with several, e.g. default/test.", show_default=False
        ),
    ] = "",
    dataset: Annotated[
        str, typer.Option(help="Name of the data set, under which the run is filed.")
    ] = "imported",
    name: Annotated[
        str | None,
        typer.Option(help="Name of the run. Defaults to the name of the embeddings' file."),
    ] = None,
    gallery_embeddings: Annotated[
        Path | None,
        typer.Option(help="File of the gallery's embeddings. Defaults to the queries' own."),
    ] = None,
    gallery_items: Annotated[
        Path | None,
        typer.Option(help="CSV file of the gallery's items. Defaults to the queries' own."),
    ] = None,
    image_root: Annotated[
        Path | None,
        typer.Option(
            help="Folder that the paths of the items are relative to. Defaults to the working "
            "directory, or to the folder that holds all images if their paths are absolute."
        ),
    ] = None,
    columns: Annotated[
        str,
        typer.Option(
            help="Columns of a table that are the embedding's dimensions: names or patterns, "
            "separated by commas, e.g. emb_*. Defaults to the one column of lists, or "
            "the columns of one numbered pattern.",
            show_default=False,
        ),
    ] = "",
    distance: Annotated[
        str, typer.Option(help=f"Distance: {listed(Distance)}.")
    ] = DEFAULT_DISTANCE,
    exclude_same: Annotated[
        str,
        typer.Option(
            help="Columns of the items, separated by commas, e.g. sequence: items that share the "
            "query's value are left out of its ranking. Defaults to none.",
            show_default=False,
        ),
    ] = "",
    junk_same: Annotated[
        str,
        typer.Option(
            help="Columns likewise, e.g. camera: of the query's class only. Defaults to none.",
            show_default=False,
        ),
    ] = "",
    metrics: Annotated[
        str,
        typer.Option(
            help="More metrics, e.g. map@100,minp,ndcg@10. Defaults to none.", show_default=False
        ),
    ] = "",
    runs: Runs = Path("runs"),
    overwrite: Annotated[bool, typer.Option(help="Replace a run of the same name.")] = False,
    on: On = LOCAL,
    shards: Shards = None,
    device: Device = "cpu",
) -> None:
    """Make a run from embeddings or ranked lists of any program, to judge and look at it."""
    from retrieval.cli.tables import print_runs
    from retrieval.runs.evaluate import EvaluationOptions
    from retrieval.runs.importing import import_files
    from retrieval.runs.names import check_run_name
    from retrieval.runs.ranked_importing import RankedOptions, import_ranked
    from retrieval.runs.sharding import Sharding

    options = EvaluationOptions(
        exclude_same=_names(exclude_same), junk_same=_names(junk_same), metrics=_names(metrics)
    )
    named = {k: v for k, v in (("label", label), ("path", path_column)) if v is not None}
    if ranked:
        if named:
            raise UserError(f"--{next(iter(named))} goes with --embeddings: rename the column")
        if embeddings is not None or gallery_embeddings is not None or gallery_items is not None:
            raise UserError("--ranked takes no embeddings: give --qrels, --items or both")
        if ignored is not None:
            raise UserError("--ignored leaves items out of rankings of embeddings, not of --ranked")
        if on != LOCAL or shards is not None or device != "cpu":
            raise UserError("--on, --shards and --device are of a search of embeddings: drop them")
        if name is not None and len(ranked) > 1:
            raise UserError("--name names one run: leave it out, and each has the name of its file")
        names = [check_run_name(name or file.name.partition(".")[0]) for file in ranked]
        if len(set(names)) < len(names):
            raise UserError("two files of --ranked have one name: rename one")
        how = RankedOptions(ties, unlisted, missing, same_ids, lower_is_nearer, part)
        made = import_ranked(
            [runs / check_run_name(dataset) / each for each in names],
            ranked,
            qrels=qrels,
            items=items,
            image_root=image_root,
            ranked=how,
            options=options,
            overwrite=overwrite,
        )
        print_runs(made)
        return
    if embeddings is None:
        raise UserError("give --embeddings, or --ranked with --qrels or --items")
    folder = (
        runs / check_run_name(dataset) / check_run_name(embeddings.stem if name is None else name)
    )
    sides = [(embeddings, items)]
    if gallery_embeddings is not None and (gallery_items is not None or items is None):
        sides.append((gallery_embeddings, gallery_items))
    elif gallery_embeddings is not None or gallery_items is not None:
        raise UserError("--gallery-embeddings and --gallery-items go together")
    path = import_files(
        folder,
        sides,
        image_root=image_root,
        columns=_names(columns),
        named=named,
        distance=distance,
        options=options,
        qrels=qrels,
        ignored=ignored,
        overwrite=overwrite,
        sharding=Sharding(on, shards, device),
    )
    print_runs([path])


@app.command()
def report(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Runs, or folders of runs: runs/grocery/npairs_loss, runs/grocery, runs or "
            "s3://bucket/runs.",
            parser=located,
            metavar="RUNS",
        ),
    ] = None,
    runs: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder of runs or of one run; the same as naming it without --runs.",
            parser=located,
            metavar="PATH|URL",
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help="A column of the tables, e.g. recall@10 or map@r; may be repeated. The first one "
            "that is a mean over queries, or NMI, also ranks the runs and is what is tested. "
            "Defaults to the metrics that are usual on the data set, ranked by Recall@1."
        ),
    ] = None,
    baseline: Annotated[
        str,
        typer.Option(
            help="Row that every other one is compared with, besides the best. Defaults to the "
            "untrained network, if it is there.",
            show_default=False,
        ),
    ] = "",
    margin: Annotated[
        float | None,
        typer.Option(
            help="Say for every row whether it is not worse than the baseline by more than this "
            "many points of the metric that is tested, e.g. 1. Defaults to none."
        ),
    ] = None,
    all_pairs: Annotated[
        bool, typer.Option("--all-pairs", help="Test all pairs of rows too, as one family.")
    ] = False,
    by: Annotated[
        str,
        typer.Option(
            help="Column of the items to slice the queries by; `retrieval slices RUN` lists them. "
            "Defaults to none.",
            show_default=False,
        ),
    ] = "",
    out: Annotated[Path, typer.Option(help="Folder of the report.")] = Path("report"),
) -> None:
    """Compare runs in a report: report.md, .csv, .tex and a self-contained .html with figures."""
    from retrieval.cli.paths import runs_at
    from retrieval.evaluation.metrics import metric as metric_of
    from retrieval.report.sections import Tests, ranked_by
    from retrieval.report.writing import page_writer, write_report
    from retrieval.runs.store import open_run

    write_page = page_writer()
    given = [run for path in [*(runs or ()), *(paths or ())] for run in runs_at(path)]
    compared = [open_run(path) for path in {path.resolve(): path for path in given}.values()]
    tested = ranked_by(metric or ())
    stored = None if margin is None else margin / metric_of(tested).scale
    tests = Tests(baseline, stored, all_pairs, tested, by)
    sections = write_report(compared, out, metric or (), tests)
    write_page(sections, out / "report.html")
    typer.echo((out / "report.md").read_text(encoding="utf-8"))
    typer.echo(f"Written: {out}/report.md, .csv, .tex, .html")


@app.command()
def demo(
    runs: Runs = Path("runs"),
    steps: Annotated[int, typer.Option(help="Number of training steps of each loss.", min=1)] = 200,
    open_app: Annotated[bool, typer.Option(help="Open the app at the end.")] = True,
) -> None:
    """Train and compare six losses on a small data set of letters, then open the app."""
    from retrieval.quiet import import_tensorflow

    import_tensorflow()
    from retrieval.cli.browser_app import open_app as open_in_browser
    from retrieval.cli.demo import train_demo

    typer.echo(
        "Task: find the same character in other typefaces. Trained on Latin letters, tested on "
        "Greek and Cyrillic ones that were never seen in training."
    )
    _show_runs(lambda: train_demo(runs, steps=steps, announce=typer.echo))
    if open_app:
        typer.echo("Opening the app; Ctrl-C ends it, `retrieval app` opens it again.")
        open_in_browser(runs)


app.command()(trainings)
app.command()(with_settings(tune))


@app.command("app", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def app_(
    context: typer.Context,
    runs: Runs = Path("runs"),
    port: Annotated[
        int | None, typer.Option(help="Port of the app. Defaults to the first free one from 8501.")
    ] = None,
) -> None:
    """Open the app on a folder of runs in the browser.

    Other options are passed on to `streamlit run`.
    """
    from retrieval.cli.browser_app import open_app

    options = [*context.args, *([f"--server.port={port}"] if port is not None else [])]
    raise typer.Exit(open_app(runs, options))


app.command("search")(search.search)
app.command("index")(search.index)


def main() -> None:
    """Run the command line; bad input ends with one line on stderr and exit code 1.

    So does an error of the machine: see :mod:`retrieval.failures`. Ctrl-C (SIGINT) and SIGTERM end
    with one line as well, and exit code 130 or 143.
    """
    with showing_urls(sys.argv[1:]):
        _run()


def _run() -> None:
    try:
        with stoppable(ends_process=True):
            # Not Typer's own error boxes: a misspelled flag is bad input like any other.
            code = app(sys.argv[1:] or ["--help"], prog_name="retrieval", standalone_mode=False)
            sys.stdout.flush()
    except (_Stopped, KeyboardInterrupt) as stop:
        cause = stop.__cause__ or stop
        typer.echo(str(cause) or "interrupted", err=True)
        sys.exit(EXIT_CODE + (cause.signal if isinstance(cause, Interrupted) else signal.SIGINT))
    except typer.TyperException as error:
        _show_error(in_our_words(error.format_message()))
        sys.exit(1)
    except BrokenPipeError:  # the reader of `retrieval datasets | head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        shown = as_user_error(error)
        if shown is None:
            raise
        _show_error(str(shown))
        sys.exit(1)
    sys.exit(code or 0)


def in_our_words(message: str) -> str:
    """Return Typer's message about a value that is no number in the words of our own errors.

    >>> in_our_words("Invalid value for '--steps': Input should be a valid integer, unable to ...")
    '--steps: give a whole number'
    """
    found = re.match(r"Invalid value for '(\S+?)'[^:]*: Input should be a valid (\w+)", message)
    if found is None or found[2] not in ("integer", "number"):
        return message
    return f"{found[1]}: give a {'whole ' * (found[2] == 'integer')}number"


def _show_runs(make: Callable[[], list[Path]], *, evaluated: bool = True) -> None:
    """Make runs and print their metrics, also if some of the runs fail.

    Args:
        make: Function that makes the runs and returns their folders.
        evaluated: Whether the runs are evaluated. Defaults to True.

    Raises:
        FailedRuns: Some runs failed.
    """
    from retrieval.cli.tables import print_runs
    from retrieval.experiment.session import FailedRuns
    from retrieval.runs.run import Run
    from retrieval.settings.schema import SELECTED_ON_TEST

    failure = None
    try:
        folders = make()
    except FailedRuns as error:
        folders, failure = error.folders, error
    if evaluated and folders:
        print_runs(folders)
    for folder in folders:
        if note := Run(folder).dataset_config.skipped_note:
            typer.echo(f"{folder}: {note}; its config.yaml lists them")
        if Run(folder).selected_on == "test":
            typer.echo(f"{folder}: {SELECTED_ON_TEST}")
    if failure is not None:
        raise failure


def _show_error(message: str) -> None:
    line = one_line(" ".join(message.split()))
    with contextlib.suppress(OSError):  # stderr may be full, too
        typer.secho(f"error: {line}", fg="red", err=True)


if __name__ == "__main__":
    main()
