"""Zero-shot retrieval as a baseline: the names of the classes search the images of a run.

The result is a run of its own beside the one whose images are searched, since each row of a run is
an item: its items are one text per class, the queries, and the images, the gallery. Tables, reports
and the app show it as any other run, under a protocol of its own, ``text -> image``, which no query
that is an image shares.

CLIP's paper embeds the name of a class within a prompt, ``a photo of a {}.`` (Radford et al. 2021,
section 3.1.4), and averages the embeddings of several prompts.
"""

import dataclasses
import io
import itertools
import re
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFont
from tqdm.auto import tqdm

from retrieval.datasets.catalog import BOX_COLUMNS, Catalog
from retrieval.deployment.text import (
    check_text,
    check_text_distance,
    checked,
    cut_texts,
    embed_texts,
    load_text_tower_of,
    trained_further,
)
from retrieval.errors import UserError
from retrieval.evaluation import evaluate
from retrieval.files import atomic_path
from retrieval.progress import stage
from retrieval.projection import project
from retrieval.runs.evaluate import (
    DEFAULT,
    KS,
    STORED_NEIGHBORS,
    EvaluationOptions,
    caveat_lines,
    write_metrics,
)
from retrieval.runs.mirrors import pull
from retrieval.runs.names import check_run_name
from retrieval.runs.neighbors import write_neighbors
from retrieval.runs.records import TEXTS_OF, metadata_columns
from retrieval.runs.run import Run
from retrieval.runs.store import check_free, new_run, open_run, publish
from retrieval.runs.thumbnails import write_encoded
from retrieval.runs.writing import run_config, write_config, write_embeddings
from retrieval.storage.addresses import shown
from retrieval.validation import DEFAULT_DISTANCE, QUERY_GALLERY, protocol_with

PAPER_PROMPT = "a photo of a {}."
TITLE = "text -> image"
PROTOCOL = protocol_with(QUERY_GALLERY, TITLE)
NULLABLE = {"i": "Int64", "u": "Int64", "b": "boolean"}
SIDE, MARGIN, POINTS = 256, 20, 28  # of the picture of a text, in pixels
INK, PAPER = (40, 44, 52), (236, 239, 243)


def evaluate_texts(
    run: Path | str,
    prompts: Sequence[str] = (PAPER_PROMPT,),
    *,
    name: str | None = None,
    options: EvaluationOptions = DEFAULT,
    progress: bool = True,
) -> Path:
    """Search the test images of a run with the names of their classes, and write the result.

    Every image of the run is in the gallery, and the images of a class are relevant to its text.
    All figures are exact; intervals resample classes, each of which has one query.

    Args:
        run: Folder of a run whose images lie in the space of texts, see
            :mod:`retrieval.deployment.text`. It is not changed.
        prompts: Templates that a class name is put into; the embeddings of several are averaged.
            Defaults to the prompt of CLIP's paper.
        name: Name of the new run. Defaults to that of the run with ``-text``, which replaces the
            result of an earlier call for the same run.
        options: ``ks``, ``metrics`` and ``seed`` of the evaluation; the others must be the
            defaults, as they would have no effect.
        progress: Whether to show progress bars. Defaults to True.

    Returns:
        Folder of the new run.

    Raises:
        UserError: Texts are not in the space of the run's images, its classes have no names, a
            prompt has no place for a name, another run has the new one's name, or an option would
            have no effect.
    """
    _check_options(options)
    source, start = open_run(run), time.perf_counter()
    settings = source.network_settings()
    if not source.has_labels:
        raise UserError(f"{source.path}: its images have no classes whose names could be texts")
    check_text(settings, source.path)
    check_text_distance(source.result().protocol.distance, source.path)
    prompts = checked(prompts)
    path = source.path.with_name(check_run_name(name or f"{source.name}-text"))
    pull(path)
    again = path.exists() and _is_of(path, source.path)
    check_free(path, overwrite=again)
    items, texts = _items(source)
    tower = load_text_tower_of(settings, source.path)
    remarks = [*cut_texts(tower, texts, prompts), *filter(None, [trained_further(settings)])]
    for line in remarks:
        tqdm.write(f"{path}: {line}")
    images = source.embeddings
    embeddings = np.concatenate([embed_texts(tower, texts, prompts), images]).astype(np.float32)
    data = source.dataset_config
    assert data.root is not None
    catalog = Catalog(
        data.name, data.root, items, TITLE, data.options, data.linked_roots, tuple(remarks)
    )
    with new_run(path) as folder:
        write_embeddings(folder, embeddings, items)
        _write_results(folder, embeddings, items, catalog.name, options, progress=progress)
        kept = (source.thumbnail(row) or b"" for row in range(len(source.items)))
        write_encoded(folder / "thumbnails", itertools.chain(map(draw_text, texts), kept))
        config = run_config(None, catalog, {"text queries": time.perf_counter() - start})
        write_config(folder, config | {TEXTS_OF: shown(source.path.resolve()), "prompts": prompts})
        for line in caveat_lines(Run(folder).results.values()):
            tqdm.write(f"{path}: {line}")
        publish(path, overwrite=again)
    return path


def _check_options(options: EvaluationOptions) -> None:
    for name, given in dataclasses.asdict(options).items():
        if name not in ("ks", "metrics", "seed") and given != getattr(DEFAULT, name):
            flag = f"--{name.replace('_', '-')}"
            raise UserError(f"{flag} has no effect on --text-queries: drop one of the two")


def _is_of(path: Path, source: Path) -> bool:
    """Tell whether a run is an earlier result for the same images."""
    try:
        return Run(path).texts_of == shown(source.resolve())
    except UserError:
        return False


def _items(source: Run) -> tuple[pd.DataFrame, list[str]]:
    """Return one row per class, then one per image; and the text of each class."""
    images = source.items.drop(columns="item")
    of_class = images.drop_duplicates("label").sort_values("label")
    texts = [words_of(str(name)) for name in of_class["label_name"]]
    if not any(re.search(r"[^\W\d_]", text) for text in texts):
        raise UserError(
            f"{source.path}: its classes have no names but numbers, such as "
            f"{of_class['label_name'].iloc[0]!r}, which no text tower knows"
        )
    own = [name for name in metadata_columns(images) if name in of_class]
    queries = of_class.drop(columns=own).assign(path=texts, role="query")
    if set(BOX_COLUMNS) <= set(images):  # of the picture that is drawn of it
        queries[list(BOX_COLUMNS)] = (0, 0, SIDE, SIDE)
    kinds = {name: NULLABLE.get(images[name].dtype.kind) for name in own}  # a text has no price
    images = images.astype({name: kind for name, kind in kinds.items() if kind})
    both = pd.concat([queries, images.assign(role="gallery")], ignore_index=True)
    return both[list(images.columns)], texts


def words_of(label_name: str) -> str:
    """Return the name of a class as a text: without a leading number, with spaces between words.

    >>> words_of("001.Black_footed_Albatross"), words_of("Granny-Smith")
    ('Black footed Albatross', 'Granny Smith')
    """
    text = re.sub(r"^\d+[._-]", "", label_name)
    return " ".join(re.sub(r"[_-]+", " ", text).split()) or label_name


def _write_results(
    folder: Path,
    embeddings: np.ndarray,
    items: pd.DataFrame,
    dataset: str,
    options: EvaluationOptions,
    *,
    progress: bool,
) -> None:
    """Write metrics and neighbors of the texts, and the map of texts and images together."""
    labels = items["label"].to_numpy()
    result = evaluate(
        embeddings,
        labels,
        items["role"].to_numpy(dtype=object),
        (*KS, *options.ks),
        distance=DEFAULT_DISTANCE,
        k_neighbors=STORED_NEIGHBORS,
        kmeans="none",
        seed=options.seed,
        metrics=options.metrics,
        progress=progress,
    )
    # The geometry of texts and images together is that of neither.
    protocol = dataclasses.replace(result.protocol, name=PROTOCOL)
    results = {PROTOCOL: dataclasses.replace(result, protocol=protocol, geometry={})}
    write_neighbors(folder, results)
    with atomic_path(folder / "projection.parquet") as temporary:
        with stage(f"map of {len(items):,} items", show=progress):
            graph = evaluate(embeddings, labels, kmeans="none", n_bootstrap=0)
            layout = project(
                embeddings, graph.neighbors, graph.similarities, distance=DEFAULT_DISTANCE
            )
        layout.to_parquet(temporary)
    write_metrics(folder, results, {PROTOCOL: TITLE}, dataset)


def draw_text(text: str) -> bytes:
    """Draw a text as a square picture, to be shown where an item has its image.

    Args:
        text: The text; what does not fit is left out.

    Returns:
        WebP, 256 x 256 px.
    """
    picture = Image.new("RGB", (SIDE, SIDE), PAPER)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(POINTS)
    lines: list[str] = []
    for word in text.split():
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and draw.textlength(joined, font) <= SIDE - 2 * MARGIN:
            lines[-1] = joined
        else:
            lines.append(word)
    most = (SIDE - 2 * MARGIN) // (POINTS + 8)
    center = (SIDE // 2, SIDE // 2)
    shown = "\n".join(lines[:most])
    draw.multiline_text(center, shown, INK, font, anchor="mm", align="center", spacing=8)
    encoded = io.BytesIO()
    picture.save(encoded, "WEBP", quality=80)
    return encoded.getvalue()
