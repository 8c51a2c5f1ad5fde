"""``retrieval search`` and ``retrieval index``: find photos and texts in what a run embedded."""

import json
from pathlib import Path
from typing import Annotated

import typer

from retrieval.cli.paths import Gallery, ImageRoot, fetched, one_run
from retrieval.errors import UserError
from retrieval.storage.addresses import located

RunPath = Annotated[
    Path,
    typer.Argument(
        help="Folder of the run that embeds the queries, or its URL.", parser=located, metavar="RUN"
    ),
]


def search(
    run: RunPath,
    queries: Annotated[
        list[str] | None,
        typer.Argument(
            help="Photos to search by; or texts, if the run embeds images as a text tower's "
            "training projected them. What is no file and does not look like one is a text.",
            metavar="QUERY...",
        ),
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(help="A text to search by, whatever it looks like; may be repeated."),
    ] = None,
    prompt: Annotated[
        str,
        typer.Option(
            help="What texts are put into, e.g. 'a photo of {}', which CLIP's paper puts before "
            "descriptions. Defaults to the text alone.",
            show_default=False,
        ),
    ] = "{}",
    gallery: Gallery = None,
    image_root: ImageRoot = None,
    k: Annotated[
        int, typer.Option("-k", "--neighbors", help="Number of items per query.", min=1)
    ] = 10,
    index: Annotated[
        str | None,
        typer.Option(
            help="Search with an index of faiss, flat, hnsw or ivfpq, and print its measured "
            "recall. Defaults to none: exact search."
        ),
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            help="Checkpoint that embeds the queries: latest, best or the step of any that is "
            "kept. Defaults to the run's setting."
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(help="Write a page with thumbnails to this file. Defaults to none."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON instead of tables, for scripts.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace --html.")] = False,
) -> None:
    """Find the nearest items to photos or texts, with all that is known of them."""
    from retrieval.quiet import import_tensorflow

    if html is not None and html.exists() and not overwrite:
        raise UserError(f"{html} exists; choose another --html or pass --overwrite")
    run = one_run(run)
    if gallery is not None:
        fetched(gallery)
    import_tensorflow()
    from retrieval.cli.tables import print_table
    from retrieval.deployment.embedder import load_embedder
    from retrieval.deployment.search import gallery_for, read_queries
    from retrieval.deployment.search import search as search_gallery
    from retrieval.deployment.search_page import write_search_page

    embedder = load_embedder(run, checkpoint)
    opened = gallery_for(embedder, gallery, image_root)
    asked = read_queries(queries or [], embedder, texts=text or (), prompt=prompt)
    hits = search_gallery(asked, opened, embedder, k, index=index)
    if html is not None:
        write_search_page(hits, html)
    for line in hits.warnings:
        typer.echo(f"warning: {line}", err=True)
    if opened.note:
        typer.echo(opened.note, err=True)
    if as_json:
        typer.echo(json.dumps(hits.as_json(), ensure_ascii=False))
        return
    for place, name in enumerate(hits.queries.names):
        typer.echo(f"\n{name} in {opened.path} ({hits.how})")
        print_table(hits.text_table(place))
    if html is not None:
        typer.echo(f"\nWritten: {html}{opened.pictures}")


def index(
    source: Annotated[
        Path,
        typer.Argument(
            help="A run's folder or URL, or vectors that `retrieval embed` has written.",
            metavar="RUN|VECTORS",
            parser=located,
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the index.")],
    type_: Annotated[
        str,
        typer.Option(
            "--type",
            help="flat (every vector), hnsw (a graph), ivfpq (compressed lists) of faiss; or "
            "lancedb, a table for LanceDB.",
        ),
    ] = "flat",
    k: Annotated[
        int, typer.Option("-k", "--neighbors", help="Neighbors whose recall is measured.", min=1)
    ] = 10,
    sample: Annotated[
        int, typer.Option(help="Number of vectors that are searched to measure.", min=1)
    ] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of their draw.", min=0)] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the index.")] = False,
) -> None:
    """Write an index for other programs, and measure what it misses against exact search."""
    from retrieval.deployment.gallery import open_gallery
    from retrieval.deployment.index import write_index
    from retrieval.runs.store import is_run_folder

    made_with = None
    fetched(source)
    if is_run_folder(source):
        from retrieval.quiet import import_tensorflow

        import_tensorflow()
        from retrieval.deployment.embedder import source_of_run
        from retrieval.runs.store import open_run

        made_with = source_of_run(open_run(source))
    gallery = open_gallery(source, made_with)
    made = write_index(gallery, out, type_, k=k, n_checked=sample, seed=seed, overwrite=overwrite)
    typer.echo(f"{out}: {made.words}, {made.n:,} vectors of {made.width} dimensions")
    typer.echo(f"{made.recall_words} (seed {made.seed})")
    typer.echo(
        f"{made.bytes_per_vector:,.0f} bytes per vector; {made.queries_per_second:,.0f} queries "
        f"per second ({made.threads} threads); built in {made.seconds_to_build:.1f} s"
    )
