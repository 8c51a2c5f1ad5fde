"""``retrieval serve``: embed and search over HTTP."""

import contextlib
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from retrieval.cli.paths import Gallery, ImageRoot, fetched, one_run
from retrieval.deployment.limits import DEFAULT_HOST, DEFAULT_PORT, MEGA, Limits
from retrieval.errors import UserError, counted
from retrieval.storage.addresses import located
from retrieval.training.interruption import SIGNALS

LOWEST_PORT = 1024
GRACE = 60  # seconds for what is in work when the service is stopped


def serve(
    run: Annotated[
        Path,
        typer.Argument(
            help="A run's folder, or its URL, whose network embeds what is uploaded.",
            parser=located,
            metavar="RUN",
        ),
    ],
    gallery: Gallery = None,
    image_root: ImageRoot = None,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen at. The default is reached from this machine only; there is no "
            "password, so put a proxy with one before any other."
        ),
    ] = DEFAULT_HOST,
    port: Annotated[int, typer.Option(help="Port.", min=0, max=65535)] = DEFAULT_PORT,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            help="Checkpoint to embed with: latest, best or a step. Defaults to the run's setting."
        ),
    ] = None,
    max_batch: Annotated[
        int, typer.Option(help="Most images of a batch.", min=1, max=1024)
    ] = Limits.batch,
    max_wait_ms: Annotated[
        float,
        typer.Option(
            help="Milliseconds that an image waits for others to share its batch.", min=0, max=1000
        ),
    ] = 1000 * Limits.wait,
    max_requests: Annotated[
        int,
        typer.Option(
            help="Most requests in work; any more are refused with status 503.", min=1, max=4096
        ),
    ] = Limits.requests,
    max_upload_mib: Annotated[
        int, typer.Option(help="Most MiB of a request.", min=1, max=256)
    ] = Limits.upload >> 20,
    max_megapixels: Annotated[
        int,
        typer.Option(
            help="Most megapixels of an image; a JPEG may have twice as many.", min=1, max=89
        ),
    ] = Limits.pixels // MEGA,
) -> None:
    """Serve a run over HTTP: /embed, /search, /health, /openapi.json, and a page to try it.

    Ends with Ctrl-C or SIGTERM, when what is in work is answered.
    """
    from retrieval.quiet import import_tensorflow

    with _bound(host, port) as listener:  # before all that takes long
        import_tensorflow()
        import uvicorn

        from retrieval.deployment.serving import make_app, open_service

        if gallery is not None:
            fetched(gallery)
        limits = Limits(
            batch=max_batch,
            wait=max_wait_ms / 1000,
            requests=max_requests,
            upload=max_upload_mib << 20,
            uploads=max(Limits.uploads, max_upload_mib << 20),
            pixels=max_megapixels * MEGA,
        )
        service = open_service(one_run(run), gallery, checkpoint, limits, image_root)
        for line in service.warnings:
            typer.echo(line)
        if service.gallery is not None and service.gallery.note:
            typer.echo(service.gallery.note)
        config = uvicorn.Config(
            make_app(service, host=host),
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE,
            timeout_keep_alive=30,
            backlog=2048,
        )
        server = _server(config)
        shown = f"[{host}]" if ":" in host else host
        number = listener.getsockname()[1]
        items = 0 if service.gallery is None else len(service.gallery)
        shown_from = ""
        if service.gallery is not None and service.run is None:  # a run has its thumbnails
            shown_from = service.gallery.pictures
        what = f"embeds, and searches {counted(items, 'image')}{shown_from}"
        typer.echo(f"http://{shown}:{number} {what}; Ctrl-C ends it")
        server.run(sockets=[listener])
    total = sum(service.answered.values())
    typer.echo(f"ended; {counted(total, 'request')} answered")


@contextlib.contextmanager
def _bound(host: str, port: int) -> Iterator[socket.socket]:
    """Take the port.

    Yields:
        The socket.

    Raises:
        UserError: It is in use, needs privileges, or there is no such address.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except PermissionError as error:
            raise UserError(f"--port {port}: not permitted; give one from {LOWEST_PORT}") from error
        except socket.gaierror as error:
            raise UserError(f"--host {host}: no such address; give 127.0.0.1 or 0.0.0.0") from error
        except OSError as error:
            raise UserError(
                f"--host {host} --port {port}: cannot be listened at ({error.strerror}); choose "
                "another --port, or an address of this machine"
            ) from error
        yield listener


def _server(config: Any) -> Any:
    """Return a server that ends on the signals of this package's commands, and only ends."""
    import uvicorn

    class Server(uvicorn.Server):
        """Ends with exit code 0 after a signal; uvicorn would raise the signal once more."""

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            before = {each: signal.signal(each, self.handle_exit) for each in SIGNALS}
            try:
                yield
            finally:
                for each, handler in before.items():
                    signal.signal(each, handler)

    return Server(config)
