"""``retrieval tune``: the same search budget for every loss, then a fair comparison."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from retrieval.cli.cluster_options import Cpus, GpusOfRun, On, Retries
from retrieval.cli.paths import Runs
from retrieval.storage.addresses import address_of


def tune(
    *,
    changes: dict[str, Any],
    losses: Annotated[
        str,
        typer.Option(
            help="Losses to compare, separated by commas; all for every loss, baseline for the six "
            "of the published baseline."
        ),
    ] = "baseline",
    trials: Annotated[int, typer.Option(help="Trials of each loss.", min=2)] = 40,
    folds: Annotated[
        int, typer.Option(help="Class-disjoint folds of the training classes.", min=2)
    ] = 3,
    seeds: Annotated[
        int, typer.Option(help="Runs of the chosen, and of the recommended, settings.", min=1)
    ] = 3,
    metric: Annotated[
        str, typer.Option(help="What trials are chosen by: map@r or recall@K.")
    ] = "map@r",
    at_once: Annotated[
        int,
        typer.Option(
            help="Trials of a generation, whose points are chosen together. It shapes the search, "
            "wherever the trials run.",
            min=1,
        ),
    ] = 5,
    early_stopping: Annotated[
        bool, typer.Option(help="Stop trials that are worse than the median of earlier ones.")
    ] = True,
    out: Annotated[
        str, typer.Option(help="Name of the tuning, and the beginning of its runs' names.")
    ] = "tuning",
    runs: Runs = Path("runs"),
    on: On = "local",
    cpus: Cpus = 1,
    gpus: GpusOfRun = None,
    retries: Retries = 3,
) -> None:
    """Compare losses fairly: the same search budget for each, chosen on folds of training classes.

    The chosen settings are then trained on all training classes with several seeds and tested
    once, beside the recommended ones. An interrupted tuning goes on with the same command, and
    `--on ray` runs trials and runs side by side on a cluster, with the same result.
    """
    from retrieval.quiet import import_tensorflow

    import_tensorflow()
    from retrieval.cli.tables import print_tuning
    from retrieval.cli.watching import RunsView
    from retrieval.experiment.tasks import Place
    from retrieval.progress import duration
    from retrieval.tuning.tune import losses_of
    from retrieval.tuning.tune import tune as tune_losses

    start = time.perf_counter()
    with RunsView() as view:
        tuning = tune_losses(
            changes,
            losses=losses_of(losses),
            trials=trials,
            folds=folds,
            seeds=seeds,
            metric=metric,
            name=out,
            at_once=at_once,
            early_stopping=early_stopping,
            runs=runs,
            announce=view.say,
            on_failure=lambda name, error: view.complain(f"{name}: {error}"),
            place=Place(on, cpus, gpus, retries),
            watch=view.update,
        )
    print_tuning(tuning, runs)
    took = duration(time.perf_counter() - start)
    if address_of(runs) is not None:
        typer.echo("Its runs are published; its trials and its record stay on this machine.")
    typer.echo(f"Finished in {took}. Look at it with `retrieval app`, on the page Tuning.")
