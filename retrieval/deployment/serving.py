"""``retrieval serve``: a small HTTP service that embeds images and searches a gallery by them.

``POST /embed`` and ``POST /search`` take the bytes of an image as the body, or a form of several.
Uploads are checked before they are decoded, decoded in threads, and embedded in batches together
with those of other requests. ``GET /search?text=WORDS`` searches by a text, where the run's images
lie beside texts. What is in work at a time is bounded; beyond, a request is refused with 503 and
``Retry-After``, so that memory stays bounded and no request is lost without an answer.

Every answer but a thumbnail and the page is JSON, errors as ``{"error": "one line"}``. Names and
metadata of a gallery may hold anything: the page shows them as text, and the policy that is sent
with it lets no other script run. See ``docs/how-to/use-what-you-trained.md``.
"""

import asyncio
import base64
import contextlib
import hashlib
import io
import json
import os
import re
import threading
import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from starlette.applications import Starlette
from starlette.datastructures import Headers, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from retrieval.datasets.image_limits import most_pixels
from retrieval.deployment.batching import Batcher, Closed, Full, Room
from retrieval.deployment.embedder import Embedder, load_embedder
from retrieval.deployment.gallery import Gallery, check_comparable
from retrieval.deployment.nearest import nearest, nearest_by_index
from retrieval.deployment.openapi import description
from retrieval.deployment.search import gallery_for
from retrieval.deployment.text import (
    check_text,
    check_text_distance,
    cut_texts,
    trained_further,
)
from retrieval.embedding.embed import combine_views, embed_loaded, loaded_sizes
from retrieval.errors import UserError, one_line
from retrieval.input_pipeline.pipeline import eval_pictures
from retrieval.runs.run import Run
from retrieval.runs.store import is_run_folder, open_run
from retrieval.runs.thumbnails import encode_thumbnail

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8080
LOCAL = ("127.0.0.1", "localhost", "::1")
DEFAULT_K = 10
FORM, JSON = "multipart/form-data", "application/json"
KINDS = {"JPEG": "JPEG", "MPO": "JPEG", "PNG": "PNG", "WEBP": "WebP", "GIF": "GIF", "BMP": "BMP"}
OPENED = [kind for kind in KINDS if kind != "MPO"]  # which Pillow opens as JPEG
ACCEPTED = "send a JPEG, PNG, WebP, GIF or BMP image"
NO_BODY_TYPES = ("application/x-www-form-urlencoded", "text/", JSON)
PAGE = "page.html"
OWN_PAGES = ("none", "same-origin")  # values of Sec-Fetch-Site, which browsers send
FOR_BROWSERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
MEGA = 10**6
LONGEST_TEXT = 1000  # characters; text towers read some 60 words
NO_GALLERY = "this service has no gallery: start it with --gallery"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a service takes on.

    Attributes:
        batch: Images of a batch. Defaults to 16.
        wait: Seconds that an image waits for others to share its batch. Defaults to 0.005.
        requests: Requests in work at a time; any more are refused with 503. Defaults to 128.
        upload: Bytes of a request. Defaults to 16 MiB.
        uploads: Bytes of all requests in work. Defaults to 256 MiB.
        images: Images of a request. Defaults to 32.
        pixels: Pixels of an image, for a JPEG twice as many, as it is decoded at a reduced size.
            Defaults to 24 million.
        k: Neighbors of a search. Defaults to 100.
        seconds: How long a request may take to arrive. Defaults to 30.
    """

    batch: int = 16
    wait: float = 0.005
    requests: int = 128
    upload: int = 16 << 20
    uploads: int = 256 << 20
    images: int = 32
    pixels: int = 24 * MEGA
    k: int = 100
    seconds: float = 30.0


class Refused(Exception):
    """A request that cannot be answered.

    Args:
        status: The HTTP status.
        message: What is wrong and what to do, in one line.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = one_line(message)


@dataclass
class Service:
    """A run's network and the gallery that it searches.

    Attributes:
        embedder: The network.
        gallery: What is searched; None to embed only.
        run: The run of the gallery, for its thumbnails; None if it is none.
        limits: What the service takes on.
        warnings: What may make results meaningless, one line each.
        answered: Number of answers so far by HTTP status.
    """

    embedder: Embedder
    gallery: Gallery | None
    run: Run | None = None
    limits: Limits = field(default_factory=Limits)
    warnings: tuple[str, ...] = ()
    answered: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.requests, self.uploads = Room(self.limits.requests), Room(self.limits.uploads)
        threads = min(4, os.cpu_count() or 1)
        self.decoders = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self.others = ThreadPoolExecutor(threads, thread_name_prefix="request")
        self.size, self.pre_crop = loaded_sizes(self.embedder.settings)
        self.batcher = Batcher(self._embed, most=self.limits.batch, wait=self.limits.wait)
        self.one_text = threading.Lock()
        self.is_ending = False

    def _embed(self, images: np.ndarray) -> np.ndarray:
        settings = self.embedder.settings
        views = embed_loaded(self.embedder.network, images, settings)
        return combine_views(views, settings).astype(np.float32)

    def warm_up(self) -> None:
        """Embed something in batches of one and of many, as the first of each takes long."""
        blank = io.BytesIO()
        Image.new("RGB", (64, 64)).save(blank, "JPEG")
        image = self.prepare([blank.getvalue()])[0]
        for number in (1, 2, self.limits.batch):
            self._embed(np.stack([image] * number))

    def prepare(self, uploads: Sequence[bytes]) -> np.ndarray:
        """Check and decode images, in a thread.

        Args:
            uploads: Bytes of image files.

        Returns:
            uint8, (m, H, W, 3), as the network takes them.

        Raises:
            Refused: One is no image, damaged, or too large.
        """
        for number, content in enumerate(uploads, 1):
            which = f"image {number}: " if len(uploads) > 1 else ""
            check_image(content, which, self.limits.pixels)
        try:
            return eval_pictures(
                uploads, size=self.size, pre_crop=self.pre_crop, pool=self.decoders
            )
        except UserError as error:
            raise Refused(422, str(error)) from error

    def search(self, vectors: np.ndarray, k: int) -> list[list[dict[str, Any]]]:
        """Find the nearest items of the gallery, in a thread.

        Args:
            vectors: (m, D).
            k: Number of neighbors.

        Returns:
            For each vector its neighbors, nearest first, as JSON has them.
        """
        gallery = self.gallery
        if gallery is None:
            raise Refused(404, NO_GALLERY)
        if gallery.vectors is None:
            rows, similarities = nearest_by_index(vectors, gallery.index, gallery.distance, k)
        else:
            rows, similarities = nearest(vectors, gallery.vectors, gallery.distance, k)
        return [
            [
                self._neighbor(gallery, rank, int(row), float(similarity))
                for rank, (row, similarity) in enumerate(zip(*each, strict=True), 1)
                if row >= 0
            ]
            for each in zip(rows, similarities, strict=True)
        ]

    def _neighbor(self, gallery: Gallery, rank: int, row: int, similarity: float) -> dict[str, Any]:
        known = gallery.values(row)
        return {
            "rank": rank,
            "row": row,
            "similarity": similarity,
            "label": None if known.get("label") is None else str(known["label"]),
            "path": None if known.get("path") is None else str(known["path"]),
            "thumbnail": f"/thumbnails/{row}",
            "metadata": {k: v for k, v in known.items() if k not in ("label", "path")},
            "facts": [asdict(each) for each in gallery.facts(row) if each.name != "label"],
        }

    def embed_text(self, text: str) -> tuple[np.ndarray, list[str]]:
        """Embed a text, in a thread.

        Args:
            text: What to search for.

        Returns:
            float32, (1, D); and what was noticed about the text, one line each.

        Raises:
            Refused: Texts are not in the space of the run's images, or it is empty or too long.
        """
        if not text.strip() or len(text) > LONGEST_TEXT:
            raise Refused(422, f"text: give 1 to {LONGEST_TEXT:,} characters")
        if self.gallery is None:
            raise Refused(404, NO_GALLERY)
        embedder = self.embedder
        try:
            check_text(embedder.settings, Path(embedder.path.name))
            check_text_distance(self.gallery.distance, self.gallery.path.name)
            with self.one_text:  # the tower is loaded once
                vector = embedder.embed_texts([text])
                remarks = cut_texts(embedder.text_tower, [text])
            return vector, [*remarks, *filter(None, [trained_further(embedder.settings)])]
        except UserError as error:
            raise Refused(422, str(error)) from error

    def thumbnail(self, row: int) -> bytes:
        """Return the WebP thumbnail of an item of the gallery; empty if there is none."""
        if self.gallery is None or not 0 <= row < len(self.gallery):
            return b""
        stored = None if self.run is None else self.run.thumbnail(row)
        if stored:
            return stored
        file = self.gallery.image(row)
        return b"" if file is None else encode_thumbnail(file)

    def close(self) -> None:
        """End the threads."""
        self.decoders.shutdown(wait=False)
        self.others.shutdown(wait=False)


def open_service(
    run: Path,
    gallery: Path | None,
    checkpoint: str | None,
    limits: Limits,
    image_root: Path | None = None,
) -> Service:
    """Load a run's network and what it searches, and embed something once.

    Args:
        run: The folder of the run.
        gallery: A run, vectors or an index; None for the items of the run.
        checkpoint: See :func:`retrieval.deployment.embedder.load_embedder`.
        limits: What the service takes on.
        image_root: Folder that the gallery's pictures are in. Defaults to the one that it records.

    Raises:
        UserError: One of them is not there, or the gallery's vectors are of another network.
    """
    embedder = load_embedder(run, checkpoint)
    searched = gallery_for(embedder, gallery, image_root)
    warned = check_comparable(embedder.source, searched)
    of = run if gallery is None else gallery
    shown = open_run(of) if of.is_dir() and is_run_folder(of) else None
    service = Service(embedder, searched, shown, limits, tuple(warned))
    service.warm_up()
    return service


def check_image(content: bytes, which: str, pixels: int) -> None:
    """Check what an uploaded file is, without decoding it.

    Args:
        content: Its bytes.
        which: Which one it is, to begin a message with.
        pixels: Most pixels of an image; twice as many for a JPEG.

    Raises:
        Refused: It is empty, no image that is taken, damaged, or too large.
    """
    if not content:
        raise Refused(400, f"{which}empty: {ACCEPTED}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's of large images; the limit is below
            with Image.open(io.BytesIO(content), formats=OPENED) as image:
                kind, (width, height) = image.format, image.size
    except Image.DecompressionBombError as error:
        raise Refused(413, f"{which}too many pixels: make it smaller") from error
    except Exception as error:  # of damaged headers, Pillow raises many kinds
        raise Refused(415, f"{which}no image that can be read: {ACCEPTED}") from error
    most = min(most_pixels(kind), pixels * (2 if KINDS[str(kind)] == "JPEG" else 1))
    if width * height > most:
        raise Refused(
            413,
            f"{which}{width} x {height} pixels, more than the {most // MEGA} megapixels that are "
            "taken: make it smaller",
        )


def make_app(service: Service, *, host: str = DEFAULT_HOST) -> Starlette:
    """Return the web application of a service.

    Args:
        service: What it serves.
        host: Address that it listens at. On this machine's own, only requests to it are answered,
            so that no page of the web reaches it under a name of its own. Defaults to 127.0.0.1.
    """
    page, policy = _page()

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        service.batcher.start()
        try:
            yield
        finally:
            service.is_ending = True
            await service.batcher.close()
            service.close()

    async def in_thread(call: Callable[..., Any], *given: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(service.others, call, *given)

    async def embed(request: Request) -> Response:
        async with _work_on(request, service) as uploads:
            images = await in_thread(service.prepare, uploads)
            vectors = await service.batcher.submit(images)
        return _json({"embeddings": _shortest(vectors), "width": service.embedder.width})

    async def search(request: Request) -> Response:
        if service.gallery is None:
            raise Refused(404, NO_GALLERY)
        k = _read_k(request, service.limits.k)
        async with _work_on(request, service) as uploads:
            if len(uploads) != 1:
                raise Refused(422, f"{len(uploads)} images: search by one at a time")
            images = await in_thread(service.prepare, uploads)
            vectors = await service.batcher.submit(images)
            found = await in_thread(service.search, vectors, k)
        return _json({"neighbors": found[0], "warnings": list(service.warnings)})

    async def search_text(request: Request) -> Response:
        if "text" not in request.query_params:
            raise Refused(405, "search by a text, /search?text=WORDS, or POST an image")
        if service.is_ending:
            raise Closed
        k = _read_k(request, service.limits.k)
        with service.requests.held(1):
            vector, said = await in_thread(service.embed_text, request.query_params["text"])
            found = await in_thread(service.search, vector, k)
        return _json({"neighbors": found[0], "warnings": [*service.warnings, *said]})

    async def health(_: Request) -> Response:
        return _json(_health(service), 503 if service.is_ending else 200)

    async def thumbnail(request: Request) -> Response:
        content = await in_thread(service.thumbnail, request.path_params["row"])
        if not content:
            raise Refused(404, "no picture of this item")
        headers = {"Cache-Control": "private, max-age=3600"}
        return Response(content, media_type="image/webp", headers=headers)

    async def openapi(_: Request) -> Response:
        return _json(
            description(
                service.limits.k, service.limits.upload, service.limits.images, LONGEST_TEXT
            )
        )

    async def home(_: Request) -> Response:
        headers = {"Content-Security-Policy": policy}
        return Response(page, media_type="text/html; charset=utf-8", headers=headers)

    routes = [
        Route("/", home),
        Route("/health", health),
        Route("/openapi.json", openapi),
        Route("/embed", embed, methods=["POST"]),
        Route("/search", search, methods=["POST"]),
        Route("/search", search_text, methods=["GET"]),
        Route("/thumbnails/{row:int}", thumbnail),
    ]
    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        exception_handlers={
            Refused: lambda _, error: _refusal(error.status, error.message),
            Full: lambda _, __: _refusal(503, "busy: try again in a second"),
            Closed: lambda _, __: _refusal(503, "the service is ending: try again later"),
            HTTPException: lambda _, error: _refusal(error.status_code, _words(error)),
            Exception: lambda _, error: _refusal(500, f"failed inside: {type(error).__name__}"),
        },
        middleware=[Middleware(_Answers, service=service, is_local=host in LOCAL)],
    )
    app.state.service = service
    return app


class _Answers:
    """Refuse what pages of other sites send; count answers, and tell browsers how to take them."""

    def __init__(self, app: Any, service: Service, is_local: bool) -> None:
        self.app, self.service, self.is_local = app, service, is_local

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_on(message: Any) -> None:
            if message["type"] == "http.response.start":
                status = message["status"]
                self.service.answered[status] = self.service.answered.get(status, 0) + 1
                message["headers"] = [*message["headers"], *FOR_BROWSERS]
            await send(message)

        refusal = self._refusal(Headers(scope=scope), scope["method"], scope["path"])
        await (refusal or self.app)(scope, receive, send_on)

    def _refusal(self, headers: Headers, method: str, path: str) -> Response | None:
        host = re.sub(r":[0-9]*$", "", headers.get("host", ""))
        if self.is_local and host.strip("[]") not in LOCAL:
            return _refusal(403, f"Host {host!r}: this service answers at 127.0.0.1 only")
        if (method != "GET" or path == "/search") and headers.get(
            "sec-fetch-site", "none"
        ) not in OWN_PAGES:
            return _refusal(403, "sent by a page of another site: send it from a program")
        return None


def _shortest(vectors: np.ndarray) -> list[list[float]]:
    """Return float32 vectors as numbers of as few digits as tell them apart."""
    return [[float(f"{value:.9g}") for value in vector] for vector in vectors.tolist()]


def _words(error: HTTPException) -> str:
    known = {404: "no such page: see /openapi.json", 405: "not this method: see /openapi.json"}
    return known.get(error.status_code, error.detail)


def _json(content: dict[str, Any], status: int = 200) -> Response:
    text = json.dumps(content, allow_nan=False)
    return Response(text, status, media_type=JSON)


def _refusal(status: int, message: str) -> Response:
    response = _json({"error": one_line(message)}, status)
    if status == 503:
        response.headers["Retry-After"] = "1"
    return response


def _health(service: Service) -> dict[str, Any]:
    embedder, gallery = service.embedder, service.gallery
    return {
        "status": "ending" if service.is_ending else "ok",
        "run": embedder.path.name,
        "step": embedder.step,
        "width": embedder.width,
        "gallery": None if gallery is None else {
            "items": len(gallery), "distance": gallery.distance,
            "search": "index" if gallery.vectors is None else "exact",
            "index": gallery.measured, "note": gallery.note,
        },
        "in_work": service.requests.taken,
        "waiting_images": service.batcher.depth,
        "batches": service.batcher.batches,
        "embedded_images": service.batcher.images,
        "answers": {str(status): n for status, n in sorted(service.answered.items())},
    }  # fmt: skip


def _read_k(request: Request, most: int) -> int:
    text = request.query_params.get("k", str(DEFAULT_K))
    if not re.fullmatch("[0-9]{1,6}", text) or not 1 <= int(text) <= most:
        raise Refused(422, f"k = {text[:20]!r}: give a whole number from 1 to {most}")
    return int(text)


@contextlib.asynccontextmanager
async def _work_on(request: Request, service: Service) -> AsyncIterator[list[bytes]]:
    """Take room for a request and read its images.

    Yields:
        The bytes of each image.

    Raises:
        Refused: There are no images, or too many or too large ones.
        Full: As much is in work as there may be.
        Closed: The service is ending.
    """
    if service.is_ending:
        raise Closed
    with service.requests.held(1), contextlib.ExitStack() as held:
        try:
            async with asyncio.timeout(service.limits.seconds):
                uploads = await _read(request, service, held)
        except TimeoutError as error:
            raise Refused(408, "the request took too long to arrive") from error
        except ClientDisconnect as error:
            raise Refused(400, "the request ended before it was complete") from error
        yield uploads


async def _read(request: Request, service: Service, held: contextlib.ExitStack) -> list[bytes]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    limits = service.limits
    too_large = f"more than {limits.upload / 2**20:g} MiB: send fewer or smaller images"
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > limits.upload:
        raise Refused(413, too_large)

    async def content() -> AsyncGenerator[bytes, None]:
        received = 0
        async for part in request.stream():
            received += len(part)
            if received > limits.upload:
                raise Refused(413, too_large)
            service.uploads.take(len(part))
            held.callback(service.uploads.give_back, len(part))
            yield part

    if kind == FORM:
        return await _read_form(request.headers, content(), limits)
    if any(kind.startswith(other) for other in NO_BODY_TYPES):
        raise Refused(415, f"Content-Type {kind}: {ACCEPTED} as the body, or as {FORM}")
    body = b"".join([part async for part in content()])
    if not body:
        raise Refused(400, f"empty: {ACCEPTED} as the body, or as {FORM}")
    return [body]


async def _read_form(
    headers: Headers, content: AsyncGenerator[bytes, None], limits: Limits
) -> list[bytes]:
    try:
        parser = MultiPartParser(
            headers, content, max_files=limits.images, max_fields=0, max_part_size=limits.upload
        )
        form = await parser.parse()
    except MultiPartException as error:
        many = "Too many" in error.message
        message = f"at most {limits.images} files and no other fields" if many else error.message
        raise Refused(413 if many else 400, f"the form cannot be read: {message}") from error
    except KeyError as error:
        raise Refused(400, "the form cannot be read: its Content-Type lacks a boundary") from error
    async with contextlib.AsyncExitStack() as files:
        uploads = []
        for _, value in form.multi_items():
            if isinstance(value, UploadFile):
                files.push_async_callback(value.close)
                uploads.append(await value.read())
    if not uploads:
        raise Refused(400, f"no file in the form: {ACCEPTED}")
    return uploads


def _page() -> tuple[str, str]:
    """Return the page, and the policy that lets only its own script and styles act."""
    text = resources.files("retrieval.deployment").joinpath(PAGE).read_text(encoding="utf-8")
    allowed = {
        name: " ".join(
            f"'sha256-{base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()}'"
            for part in re.findall(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)
        )
        for name in ("script", "style")
    }
    policy = (
        f"default-src 'none'; script-src {allowed['script']}; style-src {allowed['style']}; "
        "img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    return text, policy
