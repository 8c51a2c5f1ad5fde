"""``retrieval backbones``: the backbones to choose from, and where their weights are."""

import json
from dataclasses import dataclass
from typing import Annotated

import typer

from retrieval.errors import unknown_option
from retrieval.validation import ImageSize, as_size, sides_of

BUILT_IN = "built-in"  # the family of backbones that are no presets
LATER = "-"  # what is known once the files are here
HOW = (
    "here: whether the weights are on this disk. If not, `retrieval fetch weights NAME` downloads "
    "them to where --json says; without a network, put the files there, or give their folder: "
    "--backbone hub:FOLDER."
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One backbone, as the table and the JSON show it.

    Attributes:
        name: What ``--backbone`` takes.
        family: Its family.
        parameters: Number of parameters without a classifier; of a preset as keras-hub states it, a
            text tower's included; None if not known.
        width: Width of the pooled output; None if only the built network tells.
        image_size: Size of the input it was made for, in pixels.
        pooling: The default of ``--pooling``.
        poolings: All values that it takes.
        license: License of the weights.
        here: Whether the weights are on this disk, or need not be.
        folder: Where they are, or belong; None if nothing is to be fetched.
        get: The command that fetches them; None if they are here.
        page: The model's page, or where it comes from.
        description: What it is.
        remarks: What is done with pixels that its files do not say, once they are here.
    """

    name: str
    family: str
    parameters: int | None
    width: int | None
    image_size: str | int | None
    pooling: str
    poolings: tuple[str, ...]
    license: str
    here: bool
    folder: str | None
    get: str | None
    page: str
    description: str
    remarks: tuple[str, ...] = ()


def backbones(
    family: Annotated[
        str | None,
        typer.Option(help="List one family only, e.g. dinov3. Defaults to all."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print everything that is known, as JSON.")
    ] = False,
) -> None:
    """List the backbones: size, width, input, pooling, license, and whether they are on this disk.

    Presets of keras-hub are named hub:NAME. Width and input of a preset that is not here yet are
    those of its paper and name.
    """
    from retrieval.models.families import FAMILIES
    from retrieval.quiet import import_tensorflow

    families = {BUILT_IN, *(each.name for each in FAMILIES.values())}
    if family is not None and family not in families:
        raise unknown_option("family", family, families)
    import_tensorflow()
    rows = [*([] if family not in (None, BUILT_IN) else _built_in())]
    if family != BUILT_IN:
        rows += _presets(family)
    if as_json:
        typer.echo(json.dumps([vars(row) for row in rows], indent=2))
        return
    for line in _table(rows):
        typer.echo(line)
    typer.echo(f"\n{HOW}")
    for line in (remark for row in rows for remark in row.remarks):
        typer.echo(line)


def _built_in() -> list[Row]:
    from retrieval.embedding.pretrained import find_weights, missing_weights
    from retrieval.models import BACKBONES

    rows = []
    for name, entry in BACKBONES.items():
        get, found = missing_weights(name), find_weights(name)
        rows.append(
            Row(
                name=name,
                family=BUILT_IN,
                parameters=entry.parameters,
                width=entry.feature_size,
                image_size=_plain(entry.image_size),
                pooling=entry.pooling,
                poolings=entry.poolings,
                license=entry.license or LATER,
                here=get is None,
                folder=str(found or entry.weights_folder()) if entry.weights_files else None,
                get=get,
                page=entry.source,
                description=entry.source,
            )
        )
    return rows


def _presets(family: str | None) -> list[Row]:
    from retrieval.models.preset_list import list_presets

    return [
        Row(
            name=each.name,
            family=each.family.name,
            parameters=each.parameters,
            width=each.feature_size,
            image_size=None if each.image_size is None else _plain(each.image_size),
            pooling=each.pooling,
            poolings=each.poolings,
            license=each.license,
            here=each.folder is not None,
            folder=str(each.folder or each.target),
            get=None if each.folder is not None else f"retrieval fetch weights {each.name}",
            page=each.page,
            description=each.description,
            remarks=each.remarks,
        )
        for each in list_presets(family)
    ]


def _plain(size: ImageSize) -> str | int:
    """Return a size as ``--image-size`` takes it."""
    return as_size(sides_of(size))


def _table(rows: list[Row]) -> list[str]:
    head = ("name", "family", "parameters", "width", "pixels", "pooling", "license", "here")
    cells = [head] + [
        (
            row.name,
            row.family,
            LATER if row.parameters is None else f"{row.parameters / 1e6:,.1f} M",
            str(row.width or LATER),
            str(row.image_size or LATER),
            row.pooling,
            row.license,
            "yes" if row.here else "no",
        )
        for row in rows
    ]
    widths = [max(len(line[i]) for line in cells) for i in range(len(head))]
    right = (2, 3, 4)
    return [
        "  ".join(
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]
