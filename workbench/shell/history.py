"""One step of the browser's history per action, so that going back needs one press.

``history.js`` does this in the browser. It has to run before Streamlit's own script first changes
the URL, so a middleware inserts it into the page; a component would be loaded too late.
"""

import json
from pathlib import Path

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from workbench.session.parameters import OF_EVERY_PAGE

SCRIPT = Path(__file__).with_suffix(".js")
KEPT = "/* parameters of every page */ []"
# The page that is sent differs from the file that a browser may have cached, and is not compressed.
DROPPED_HEADERS = (b"accept-encoding", b"if-none-match", b"if-modified-since", b"range")


def script_text() -> str:
    """Return the script, with the names of the parameters that the links of the sidebar keep."""
    names = json.dumps([parameter.key for parameter in OF_EVERY_PAGE])
    return SCRIPT.read_text(encoding="utf-8").replace(KEPT, names)


class HistoryScript:
    """Middleware that inserts the script into every HTML page.

    Args:
        app: The app that answers requests.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.script = f"<script>\n{script_text()}</script>".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; only those of a browser that opens a page are changed."""
        headers = scope.get("headers", [])
        asked = b",".join(value for name, value in headers if name == b"accept")
        if scope["type"] != "http" or scope["method"] != "GET" or b"text/html" not in asked:
            await self.app(scope, receive, send)
            return
        headers = [(name, value) for name, value in headers if name not in DROPPED_HEADERS]
        await self.app({**scope, "headers": headers}, receive, self._inserting(send))

    def _inserting(self, send: Send) -> Send:
        start: Message = {}
        parts: list[bytes] = []

        async def pass_on(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                if _is_page(message):
                    return
            elif message["type"] == "http.response.body" and _is_page(start):
                parts.append(message.get("body", b""))
                if message.get("more_body"):
                    return
                page = b"".join(parts).replace(b"<head>", b"<head>" + self.script, 1)
                head = MutableHeaders(raw=list(start["headers"]))
                head["content-length"] = str(len(page))
                del head["etag"], head["last-modified"], head["accept-ranges"]
                await send({**start, "headers": head.raw})
                message = {"type": "http.response.body", "body": page}
            await send(message)

        return pass_on


def _is_page(start: Message) -> bool:
    kinds = [value for name, value in start.get("headers", []) if name == b"content-type"]
    return start.get("status") == 200 and bool(kinds) and kinds[0].startswith(b"text/html")
