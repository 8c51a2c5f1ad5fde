"""One step of the browser's history per action, so that Back needs one press: see ``history.js``.

The script has to be there before Streamlit's own first changes the address, so it is put into the
page itself; a component would be loaded too late.
"""

from pathlib import Path

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SCRIPT = Path(__file__).with_suffix(".js")
# The page that is sent is not the file that a browser may have kept, and is not compressed.
NOT_ASKED = (b"accept-encoding", b"if-none-match", b"if-modified-since", b"range")


class HistoryScript:
    """Middleware that puts the script into every HTML page.

    Args:
        app: What answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.script = f"<script>\n{SCRIPT.read_text(encoding='utf-8')}</script>".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; all but those of a browser that opens a page go through as they are."""
        headers = scope.get("headers", [])
        asked = b",".join(value for name, value in headers if name == b"accept")
        if scope["type"] != "http" or scope["method"] != "GET" or b"text/html" not in asked:
            await self.app(scope, receive, send)
            return
        headers = [(name, value) for name, value in headers if name not in NOT_ASKED]
        await self.app(scope | {"headers": headers}, receive, self._inserting(send))

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
                await send(start | {"headers": head.raw})
                message = {"type": "http.response.body", "body": page}
            await send(message)

        return pass_on


def _is_page(start: Message) -> bool:
    kinds = [value for name, value in start.get("headers", []) if name == b"content-type"]
    return start.get("status") == 200 and bool(kinds) and kinds[0].startswith(b"text/html")
