"""A loopback HTTP server that resumes, drops connections and corrupts bytes on request."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FlakyServer:
    """Serves ``files``; each request pops its behavior off ``script`` (default ``"ok"``).

    Behaviors: ``ok``; ``drop`` (half of what was asked for, then the connection closes);
    ``corrupt`` (one byte flipped); a number (that HTTP status and no body).
    """

    def __init__(self):
        self.files: dict[str, bytes] = {}
        self.script: list[str | int] = []
        self.resumes = True
        self.requests: list[tuple[str, str | None]] = []  # (path, Range header)
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())

    def __enter__(self):
        serve = lambda: self._http.serve_forever(poll_interval=0.02)  # noqa: E731
        threading.Thread(target=serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._http.shutdown()
        self._http.server_close()

    def url(self, name):
        return f"http://127.0.0.1:{self._http.server_port}/{name}"

    def _handler(outer):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.requests.append((self.path, self.headers.get("Range")))
                behavior = outer.script.pop(0) if outer.script else "ok"
                whole = outer.files.get(self.path.lstrip("/"))
                if isinstance(behavior, int) or whole is None:
                    self.send_response(behavior if isinstance(behavior, int) else 404)
                    self.end_headers()
                    return
                start = self._start()
                if start and start >= len(whole):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(whole)}")
                    self.end_headers()
                    return
                body = whole[start:]
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if behavior == "corrupt":
                    body = body[:-1] + bytes([body[-1] ^ 1])
                self.wfile.write(body[: len(body) // 2] if behavior == "drop" else body)

            def _start(self):
                asked = self.headers.get("Range") if outer.resumes else None
                return int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0

            def log_message(self, *_):
                pass

        return Handler
