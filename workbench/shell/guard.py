"""Answer only requests that were meant for this server, and tell browsers how to treat answers.

A request for a host that this server does not go by is refused, and so is a request of a page from
another host (see :mod:`workbench.data.hosts`). This holds for pages, images and the websocket that
drives the app.
"""

import ipaddress
from collections.abc import Iterable

import streamlit as st
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from workbench.data.hosts import HOSTS_OPTION, configured_hosts, host_of, is_allowed

REFUSED_CODE = 1008  # "policy violation", RFC 6455
# No page may show the app in a frame or load its files, and no file is taken for another kind.
HEADERS = {
    "X-Frame-Options": "SAMEORIGIN",
    "Content-Security-Policy": "frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
}


class OnlyKnownHosts:
    """Middleware that refuses requests for other hosts, and adds :data:`HEADERS` to all answers.

    Args:
        app: The app that answers requests.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request or open a websocket, or refuse it with one line."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        reason = _reason_to_refuse(scope)
        if reason is None:
            await self.app(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": REFUSED_CODE, "reason": reason[:120]})
        else:
            answer = PlainTextResponse(f"{reason}\n", 403)
            await answer(scope, receive, _with_headers(send))


def _reason_to_refuse(scope: Scope) -> str | None:
    """Return why a request is refused, in one line; None if it is not."""
    headers = Headers(scope=scope)
    hosts = configured_hosts()
    if not st.get_option(HOSTS_OPTION):  # if there is a list, Streamlit's websocket follows it
        hosts += _reached_at(scope)
    named = headers.getlist("host")
    if len(named) != 1 or not is_allowed(host_of(named[0]), hosts):
        return (
            "this server does not go by the host of this address; if it should, start it with "
            f"`--{HOSTS_OPTION}=HOST`"
        )
    for origin in headers.getlist("origin"):
        if not _is_allowed_origin(origin, hosts):
            return "pages of other hosts may not use this server"
    return None


def _is_allowed_origin(origin: str, hosts: Iterable[str]) -> bool:
    if origin in (st.get_option("server.corsAllowedOrigins") or ()):
        return True
    scheme, _, authority = origin.partition("://")
    return scheme in ("http", "https") and is_allowed(host_of(authority), hosts)


def _reached_at(scope: Scope) -> tuple[str, ...]:
    """Return the address of this computer at which a connection arrived.

    A server that listens on every interface cannot list its addresses. A page that rebinds its own
    name cannot use them: the name in its requests is a name.
    """
    address = (scope.get("server") or ("",))[0]
    try:
        reached = ipaddress.ip_address(address)
    except ValueError:  # a Unix socket or a test
        return ()
    # A server that listens on `::` sees connections by IPv4 at mapped addresses.
    return (str(getattr(reached, "ipv4_mapped", None) or reached),)


def _with_headers(send: Send) -> Send:
    async def pass_on(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=list(message.get("headers", [])))
            for name, value in HEADERS.items():
                headers[name] = value
            message = {**message, "headers": headers.raw}
        await send(message)

    return pass_on
