"""Serve images over HTTP: thumbnails and pictures of a run's items, and the cards shown on hover.

Images are addressed by run and row. A picture is decoded and encoded again, and only if its file
lies in the data set's root folder, so no other file can be read through the app.

A decoded image takes four bytes per pixel, so large ones are decoded one at a time and up to a
limit; JPEGs are reduced while they are decoded. Equal requests wait for the one answer.
"""

import contextlib
import io
import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import numpy as np
import streamlit as st
from PIL import ExifTags, Image, ImageOps
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from retrieval.datasets.catalog import crop_boxes
from retrieval.datasets.containment import contained_path
from retrieval.datasets.image_limits import size_problem
from retrieval.errors import UserError
from retrieval.files import time_stamp
from retrieval.runs.run import ChangedRun, Run
from retrieval.runs.thumbnails import eight_bits, encode_thumbnail
from workbench.analysis.metadata import facts, suggested_columns
from workbench.data.loading import find_run, stamp

PICTURE_SIDE = 640
FEW_PIXELS = 4_000_000  # images up to this size are decoded whenever they are asked for
MOST_DIGITS = 12  # of a row in an address
UNREADABLE = (UserError, OSError, ValueError, SyntaxError, Image.DecompressionBombError)
ONE_LARGE_IMAGE = threading.BoundedSemaphore(1)
SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that swap width and height
FOREVER = {
    "Cache-Control": "private, max-age=604800, immutable",
    "X-Content-Type-Options": "nosniff",
}
NO_SUCH_ITEM = Response("no such item", 404)
PLACEHOLDER = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 128 128" width="128" height="128">'
    b'<rect width="128" height="128" fill="#8a94a0" fill-opacity=".16"/>'
    b'<path d="M38 82l18-22 14 16 8-9 14 15z" fill="#8a94a0" fill-opacity=".55"/>'
    b'<circle cx="80" cy="48" r="7" fill="#8a94a0" fill-opacity=".55"/></svg>'
)


def thumbnail_url(run: Run, row: int) -> str:
    """Return the URL of an item's 128 px thumbnail."""
    return _url("thumbnails", run, row)


def picture_url(run: Run, row: int) -> str:
    """Return the URL of an item's picture, whose longer side is at most 640 px."""
    return _url("pictures", run, row)


def hover_url(run: Run, protocol: str) -> str:
    """Return the URL of hover cards, to which the row is to be appended."""
    return _url("hover", run, None, protocol) + "&row="


def _url(kind: str, run: Run, row: int | None, protocol: str = "") -> str:
    # The version changes with the run, so browsers may cache images forever.
    version = f"{hash(stamp(run.path)) & 0xFFFFFFFF:x}"
    where = f"/{kind}/{quote(run.dataset, safe='')}/{quote(run.name, safe='')}"
    where += f"/{protocol}" if protocol else ""
    return f"{where}/{row}?v={version}" if row is not None else f"{where}?v={version}"


def picture_path(run: Run, row: int) -> Path | None:
    """Return the image file of an item.

    Args:
        run: The run that holds the item.
        row: Row of the item.

    Returns:
        The file, or None if it is missing or outside the data set's root folder.
    """
    data = run.dataset_config
    if data.root is None:
        return None
    name = str(run.items["path"].iloc[row])
    path = contained_path(data.root, name, data.linked_roots)
    return path if path is not None and os.path.isfile(path) else None


def check_pixels(name: str, image: Image.Image) -> None:
    """Refuse to decode an image that is too large, see :mod:`retrieval.datasets.image_limits`.

    Args:
        name: Name of the image, for the message.
        image: The image, opened but not decoded.

    Raises:
        UserError: It is too large.
    """
    if problem := size_problem(image):
        raise UserError(f"{name}: {problem}")


def opened(path: str | Path) -> Image.Image:
    """Open an image without decoding it.

    Args:
        path: The image file.

    Raises:
        UserError: It has so many pixels that Pillow refuses to open it.
        OSError: It cannot be read.
    """
    try:
        return Image.open(path)
    except Image.DecompressionBombError as error:
        raise UserError(f"{Path(path).name}: {error}") from error


@contextlib.contextmanager
def decodable(path: str | Path, side: int | None = None) -> Iterator[Image.Image]:
    """Open an image to be decoded, unless that would take too much memory.

    Args:
        path: The image file.
        side: Least length of the shorter side that is needed, in pixels. A JPEG is then decoded at
            a half, a quarter or an eighth of its size if that suffices. Defaults to None: the full
            size is needed.

    Yields:
        The image, not yet decoded. While it is a large one, no other large one is decoded.

    Raises:
        UserError: It is too large.
        OSError: It cannot be read.
    """
    with opened(path) as image:
        width, height = image.size
        check_pixels(Path(path).name, image)
        if side is not None:
            image.draft("RGB", (side, side))
        # A progressive JPEG takes memory for all of its pixels, whatever size it is decoded at.
        with memory_for(width * height):
            yield image


def memory_for(n_pixels: int) -> contextlib.AbstractContextManager:
    """Return a context to decode an image in: those of large images never overlap.

    Args:
        n_pixels: Number of pixels of the image.
    """
    return ONE_LARGE_IMAGE if n_pixels > FEW_PIXELS else contextlib.nullcontext()


# `st.cache_resource` computes a value once, however many requests ask for it at the same time.
@st.cache_resource(show_spinner=False, max_entries=128)
def _encode(path: str, changed: tuple[int, int]) -> bytes | None:
    try:
        with decodable(path, PICTURE_SIDE) as file:
            # Reduced before it is copied: every copy of a large image takes as much as itself.
            image = file if file.mode in ("RGB", "L") else eight_bits(file).convert("RGB")
            image.thumbnail((PICTURE_SIDE, PICTURE_SIDE), Image.Resampling.LANCZOS)
            image = ImageOps.exif_transpose(image).convert("RGB")
            buffer = io.BytesIO()
            image.save(buffer, "WEBP", quality=85, method=2)
            return buffer.getvalue()
    except UNREADABLE:
        return None


def picture_size(run: Run, row: int) -> tuple[int, int] | None:
    """Return the upright width and height of an item's image in pixels; None if unreadable."""
    path = picture_path(run, row)
    try:
        if path:
            with Image.open(path) as image:
                turned = image.getexif().get(ExifTags.Base.Orientation, 1) in SIDEWAYS
                return image.size[::-1] if turned else image.size
    except UNREADABLE:
        pass
    return None


def picture(run: Run, row: int) -> bytes | None:
    """Return an item's picture (WebP, at most 640 px), or its thumbnail if there is none."""
    path = picture_path(run, row)
    encoded = _encode(str(path), time_stamp(path)) if path else None
    return encoded or run.thumbnail(row)


@st.cache_resource(show_spinner=False, max_entries=4096)  # a few kilobytes each
def _shrink(path: str, changed: tuple[int, int], box: tuple[float, ...] | None) -> bytes:
    try:
        with decodable(path):
            return encode_thumbnail(path, box)
    except UNREADABLE:
        return b""


def thumbnail(run: Run, row: int) -> bytes | None:
    """Return an item's thumbnail (WebP, 128 px), made from its picture if the run has none."""
    stored = run.thumbnail(row)
    path = None if stored else picture_path(run, row)
    if path is None:
        return stored
    boxes = crop_boxes(run.items.iloc[[row]])
    box = tuple(boxes[0].tolist()) if boxes is not None else None
    return _shrink(str(path), time_stamp(path), box) or None


def hover_card(run: Run, protocol: str, row: int) -> dict:
    """Return what a map shows on hover: class, verdict, file name, first columns, thumbnail."""
    item = run.items.iloc[row]
    neighbors = run.neighbors(protocol)
    at = neighbors.position(row)
    rank = int(neighbors.first_relevant_rank[at]) if at is not None else None
    if not run.knows_relevant(protocol):
        verdict, mark = "no labels, so no verdict", "none"
    elif rank is None:
        verdict, mark = "gallery item, not a query", "none"
    elif rank == 1:
        verdict, mark = "nearest item is right", "hit"
    elif rank == 0:
        verdict, mark = "no item of its class in the gallery", "none"
    else:
        verdict, mark = f"first relevant item at rank {rank:,}", "miss"
    shown = facts(run, row, suggested_columns(run))
    return {
        "row": row,
        "src": thumbnail_url(run, row),
        "label": str(item["label_name"]),
        "verdict": verdict,
        "mark": mark,
        "file": Path(str(item["path"])).name,
        "facts": [f"{fact['name']} {fact['text']}" for fact in shown],
    }


def _item(request: Request, row: str) -> tuple[Run, int] | None:
    run = find_run(request.path_params["dataset"], request.path_params["run"])
    number = row.isascii() and row.isdigit() and len(row) <= MOST_DIGITS
    if run is None or not number or int(row) >= len(run.items):
        return None
    return run, int(row)


def _answer(request: Request, row: str, make: Callable[[Run, int], Response]) -> Response:
    """Answer a request for an item of a run; one that is replaced meanwhile is opened again."""
    for _ in range(2):
        try:
            found = _item(request, row)
            return make(*found) if found else NO_SUCH_ITEM
        except ChangedRun:
            continue
        except UserError:
            break
    return NO_SUCH_ITEM


async def _thumbnail(request: Request) -> Response:
    row = request.path_params["row"]
    return await run_in_threadpool(_answer, request, row, lambda *item: _image(thumbnail(*item)))


async def _picture(request: Request) -> Response:
    row = request.path_params["row"]
    return await run_in_threadpool(_answer, request, row, lambda *item: _image(picture(*item)))


async def _hover(request: Request) -> Response:
    protocol = request.path_params["protocol"]

    def make(run: Run, row: int) -> Response:
        if protocol not in run.results:
            return NO_SUCH_ITEM
        card = json.dumps(hover_card(run, protocol, row), default=_plain)
        return Response(card, media_type="application/json")

    return await run_in_threadpool(_answer, request, request.query_params.get("row", ""), make)


def _plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else str(value)


def _image(data: bytes | None) -> Response:
    if data:
        return Response(data, media_type="image/webp", headers=FOREVER)
    return Response(PLACEHOLDER, media_type="image/svg+xml")


ROUTES = [
    Route("/thumbnails/{dataset}/{run}/{row}", _thumbnail),
    Route("/pictures/{dataset}/{run}/{row}", _picture),
    Route("/hover/{dataset}/{run}/{protocol}", _hover),
]
