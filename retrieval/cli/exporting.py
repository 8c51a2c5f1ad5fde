"""What ``retrieval export`` does: a run's network, or its stored embeddings, for other programs."""

import dataclasses
from pathlib import Path
from typing import Any

import typer

from retrieval.cli.paths import one_run
from retrieval.errors import UserError, counted
from retrieval.validation import ExportFormat, listed

NETWORK_FLAGS = {
    "precision": "--precision",
    "checkpoint": "--checkpoint",
    "images": "--images",
    "check": "--no-check",
    "normalize": "--no-normalize",
}
UNSET = {"check": True, "normalize": True}  # values of flags that were not given; others: None


def check_flags(format: str | None, out: Path | None, given: dict[str, Any]) -> None:
    """Refuse flags that do not go together.

    Args:
        format: Value of ``--format``.
        out: Value of ``--out``.
        given: Parameter -> value of each of :data:`NETWORK_FLAGS`.

    Raises:
        UserError: A flag of the network without a format, or neither a format nor a file.
    """
    if format is not None:
        return
    for name, flag in NETWORK_FLAGS.items():
        if given[name] != UNSET.get(name):
            raise UserError(f"{flag} is for the network: add --format {listed(ExportFormat)}")
    if out is None:
        raise UserError(
            f"give --format {listed(ExportFormat)} for the network of the run, or --out FILE "
            "(.h5, .npy or .parquet) for the embeddings that it stores"
        )


def export_network(run: Path, format: str, out: Path | None, **options: Any) -> None:
    """Export the network of a run and print what was written and measured.

    Args:
        run: What the user gave as the run.
        format: Name of the format.
        out: Folder to write to; None for the default.
        **options: See :func:`retrieval.deployment.exporting.export_network`.
    """
    from retrieval.quiet import import_tensorflow

    import_tensorflow()
    from retrieval.deployment.exporting import export_network as export
    from retrieval.deployment.exporting import lines_of

    made = export(one_run(run), format, out, announce=typer.echo, **options)
    for line in lines_of(made):
        typer.echo(line)


def export_embeddings(run: Path, out: Path, *, overwrite: bool) -> None:
    """Write the embeddings that a run stores to a table, and print where.

    Args:
        run: What the user gave as the run.
        out: The file.
        overwrite: Whether to replace it.
    """
    from retrieval.runs.embedding_output import check_output, export_run, items_path
    from retrieval.runs.store import open_run

    opened = open_run(one_run(run))
    check_output(out, overwrite=overwrite)  # before TensorFlow is loaded
    source = None
    if opened.settings is not None:  # so that a search knows which network made the vectors
        from retrieval.quiet import import_tensorflow

        import_tensorflow()
        from retrieval.deployment.embedder import source_of_run

        source = source_of_run(opened)
        data = opened.dataset_config
        if source is not None and data.root is not None:
            source = dataclasses.replace(
                source, images=str(data.root), linked_roots=data.linked_roots
            )
    export_run(opened, out, source=source, overwrite=overwrite)
    n, width = opened.embeddings.shape
    typer.echo(f"{out}: {counted(n, 'vector')} of {width} dimensions")
    if (items := items_path(out)) is not None:
        typer.echo(f"{items}: the items, in the order of the vectors")
