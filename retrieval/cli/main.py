"""The ``retrieval`` command: fetch, train, embed, evaluate, import, report, demo, app."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from retrieval.cli.options import with_settings
from retrieval.errors import UserError

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
app = typer.Typer(
    help="Train embeddings with ranking losses, evaluate them exactly, look at what they get wrong."
    "\n\nA run is a folder `runs/DATASET/NAME`; `retrieval app` shows them all.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
INTERRUPTED = 130  # Typer's exit code for Ctrl-C
RunPath = Annotated[Path, typer.Argument(help="A run folder, e.g. runs/grocery/npairs_loss.")]
Runs = Annotated[Path, typer.Option(help="Folder of runs.", envvar="RETRIEVAL_RUNS")]


@app.command()
def fetch(
    dataset: Annotated[str, typer.Argument(help="Data set to get: see `retrieval datasets`.")],
    data: Annotated[Path | None, typer.Option(help="Where to; default data/DATASET.")] = None,
    archive: Annotated[Path | None, typer.Option(help="A copy of the archive, on disk.")] = None,
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
    """Download a data set (or take --archive), check its content and unpack it."""
    from retrieval.datasets import fetch_dataset
    from retrieval.datasets.placeholder import make_placeholder

    if not (placeholder or stand_in):
        typer.echo(f"{dataset} is ready in {fetch_dataset(dataset, data, archive)}")
        return
    if archive:
        raise UserError("--placeholder takes no --archive: it is made of photos that are here")
    root = make_placeholder(dataset, data)
    typer.echo(f"a synthetic placeholder for {dataset} is ready in {root}")


@app.command()
def datasets(
    data: Annotated[Path, typer.Option(help="Folder that holds DATASET/ of each.")] = Path("data"),
) -> None:
    """List the data sets: size, classes, license, and whether they are on this disk."""
    from retrieval.datasets import list_datasets
    from retrieval.report.terminal import print_table

    print_table(list_datasets(data))


@app.command()
def recipes() -> None:
    """List the published experiments that `retrieval train --recipe NAME` sets up."""
    from retrieval.settings.recipes import load_recipe, recipe_names

    for name in recipe_names():
        recipe = load_recipe(name)
        typer.echo(f"{name:40} {recipe.title}")


@app.command()
@with_settings
def train(
    *,
    changes: dict,
    runs: Runs = Path("runs"),
    name: Annotated[str | None, typer.Option(help="Run name; default: the loss.")] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace runs of the same name.")] = False,
    evaluate: Annotated[bool, typer.Option(help="Embed and evaluate after training.")] = True,
    resume: Annotated[Path | None, typer.Option(help="Continue this interrupted run.")] = None,
    seeds: Annotated[int, typer.Option(help="Repeat with this many seeds.", min=1)] = 1,
) -> None:
    """Train a run, then embed and evaluate it.

    `--loss all` trains the six baseline losses one after the other, beside the untrained backbone.
    """
    from retrieval.quiet import import_tensorflow

    import_tensorflow()
    from retrieval.experiment.session import run_session

    run_session(
        changes,
        runs=runs,
        name=name,
        overwrite=overwrite,
        evaluate=evaluate,
        resume_path=resume,
        seeds=seeds,
    )


@app.command()
def sweep(
    grid: Annotated[Path, typer.Argument(help="YAML with `base` settings and a `grid` of lists.")],
    runs: Runs = Path("runs"),
) -> None:
    """Train a grid of losses, margins, seeds, ...; finished runs are skipped, killed ones go on."""
    from retrieval.quiet import import_tensorflow

    import_tensorflow()
    from retrieval.experiment.sweep import sweep as run_sweep

    run_sweep(grid, runs=runs)


@app.command()
def embed(
    run: RunPath,
    test_time: Annotated[
        str | None,
        typer.Option(help="Other test-time views, e.g. flip+five_crop; default: the run's own."),
    ] = None,
    test_time_mean: Annotated[
        str | None, typer.Option(help="Mean over the views: normalized or plain.")
    ] = None,
) -> None:
    """Embed a trained run's test split from its checkpoint, and evaluate it."""
    from retrieval.quiet import import_tensorflow

    import_tensorflow()
    from retrieval.experiment import pipeline
    from retrieval.report.terminal import print_runs

    print_runs([pipeline.embed(run, test_time=test_time, test_time_mean=test_time_mean)])


@app.command()
def evaluate(
    run: RunPath,
    distance: Annotated[
        str | None,
        typer.Option(help="cosine, euclidean, squared_euclidean or cityblock; default: its own."),
    ] = None,
    no_positive: Annotated[
        str, typer.Option(help="Queries without a possible hit: exclude, or zero (they score 0).")
    ] = "exclude",
    kmeans: Annotated[
        str, typer.Option(help="Start of the k-means of NMI: greedy k-means++, random or none.")
    ] = "greedy k-means++",
    seed: Annotated[int, typer.Option(help="Of k-means and the intervals.")] = 0,
    ks: Annotated[
        str,
        typer.Option(help="More K of Recall@K, beside the usual ones: 3,5.", show_default=False),
    ] = "",
) -> None:
    """Evaluate a run's embeddings: metrics, neighbors, projection, thumbnails."""
    from retrieval.report.terminal import print_runs
    from retrieval.runs.evaluate import EvaluationOptions, evaluate_run

    wanted = tuple(int(k) if k.strip().isdecimal() else k for k in ks.split(",") if ks)
    options = EvaluationOptions(no_positive=no_positive, kmeans=kmeans, seed=seed, ks=wanted)
    evaluate_run(run, distance=distance, options=options)
    print_runs([run])


@app.command("import")
def import_(
    embeddings: Annotated[Path, typer.Option(help=".npy, .npz, .h5, .parquet, .pt or .pth.")],
    items: Annotated[Path, typer.Option(help="CSV with `label`; also `path`, `role`, ...")],
    dataset: Annotated[str, typer.Option(help="Data set the run is filed under.")] = "imported",
    name: Annotated[
        str | None, typer.Option(help="Run name; default: the embeddings' file.")
    ] = None,
    gallery_embeddings: Annotated[Path | None, typer.Option(help="If gallery is apart.")] = None,
    gallery_items: Annotated[Path | None, typer.Option(help="Its items.")] = None,
    image_root: Annotated[Path, typer.Option(help="Folder of the items' paths.")] = Path("."),
    distance: Annotated[str, typer.Option(help="Distance of the evaluation.")] = "cosine",
    runs: Runs = Path("runs"),
    overwrite: Annotated[bool, typer.Option(help="Replace a run of the same name.")] = False,
) -> None:
    """Make a run from embeddings of any framework: metrics, neighbors, and the app."""
    from retrieval.report.terminal import print_runs
    from retrieval.runs.importing import import_run
    from retrieval.runs.names import check_run_name

    folder = runs / check_run_name(dataset) / check_run_name(name or embeddings.stem)
    if (gallery_embeddings is None) != (gallery_items is None):
        raise UserError("--gallery-embeddings and --gallery-items go together")
    sides = [(embeddings, items)]
    if gallery_embeddings is not None:
        sides.append((gallery_embeddings, gallery_items))
    path = import_run(folder, sides, image_root=image_root, distance=distance, overwrite=overwrite)
    print_runs([path])


@app.command()
def report(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Run folders, e.g. runs/grocery/*.", metavar="RUNS")
    ] = None,
    runs: Annotated[
        list[Path] | None, typer.Option(help="A run folder; the same as naming it without --runs.")
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(help="A column of the table, e.g. recall@10; default: the usual ones."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the report.")] = Path("report"),
) -> None:
    """Compare runs on paper: report.md, .csv, .tex and a self-contained .html with figures."""
    from retrieval.report.writing import page_writer, write_report
    from retrieval.runs.store import open_run

    write_page = page_writer()
    opened = [open_run(path) for path in [*(runs or ()), *(paths or ())]]
    sections = write_report(opened, out, metric or ())
    write_page(sections, out / "report.html")
    typer.echo((out / "report.md").read_text(encoding="utf-8"))
    typer.echo(f"Written: {out}/report.md, .csv, .tex, .html")


@app.command()
def demo(
    runs: Runs = Path("runs"),
    steps: Annotated[int, typer.Option(help="Training steps of each loss.", min=1)] = 200,
    open_app: Annotated[bool, typer.Option(help="Open the app at the end.")] = True,
) -> None:
    """Train and compare the six losses on the embedded data set, then open the app."""
    from retrieval.quiet import import_tensorflow

    import_tensorflow()
    from retrieval.cli.demo import run_demo

    run_demo(runs, steps=steps, open_app=open_app)


@app.command("app", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def app_(context: typer.Context, runs: Runs = Path("runs")) -> None:
    """Open the web app on a folder of runs; other options are those of `streamlit run`."""
    from retrieval.cli.browser_app import open_app

    raise typer.Exit(open_app(runs, context.args))


def main() -> None:
    """Run the command line; bad input ends with one line on stderr and exit code 1."""
    try:
        # Not Typer's own error boxes: a misspelled flag is bad input like any other.
        code = app(sys.argv[1:] or ["--help"], prog_name="retrieval", standalone_mode=False)
    except (UserError, typer.TyperException) as error:
        message = error.format_message() if isinstance(error, typer.TyperException) else str(error)
        typer.secho(f"error: {' '.join(message.split())}", fg="red", err=True)
        sys.exit(1)
    if code == INTERRUPTED:
        typer.echo("interrupted; the same command continues from the last checkpoint", err=True)
    sys.exit(code or 0)


if __name__ == "__main__":
    main()
