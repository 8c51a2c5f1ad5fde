"""Only requests that were meant for this server are answered: hosts, origins, headers."""

import pytest
import streamlit
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from workbench.data import hosts
from workbench.shell.guard import OnlyKnownHosts


async def _page(request):
    return PlainTextResponse("page")


async def _socket(websocket):
    await websocket.accept()
    await websocket.send_text("open")
    await websocket.close()


APP = Starlette(
    routes=[Route("/", _page), WebSocketRoute("/stream", _socket)],
    middleware=[Middleware(OnlyKnownHosts)],
)


def answers(host: str, origin: str | None = None) -> bool:
    """Tell whether a page is answered; the websocket has to be open to the same requests."""
    headers = {"host": host} | ({"origin": origin} if origin is not None else {})
    client = TestClient(APP)
    found = client.get("/", headers=headers)
    assert found.status_code in (200, 403)
    assert found.headers["x-content-type-options"] == "nosniff"
    assert found.headers["x-frame-options"] == "SAMEORIGIN"
    assert "frame-ancestors 'self'" in found.headers["content-security-policy"]
    try:
        with client.websocket_connect("/stream", headers=headers) as stream:
            opened = stream.receive_text() == "open"
    except WebSocketDisconnect:
        opened = False
    assert opened == (found.status_code == 200)
    return opened


@pytest.fixture
def options(monkeypatch):
    """Set options of Streamlit for one test."""
    given: dict = {"server.address": "localhost", "server.allowedHosts": []}
    option = streamlit.get_option
    monkeypatch.setattr(
        streamlit, "get_option", lambda name: given[name] if name in given else option(name)
    )
    return given


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8501", "LOCALHOST:1", "localhost.", "127.0.0.1:80", "[::1]:8501"],
)
def test_this_computer_is_always_known(options, host):
    assert answers(host)
    assert answers(host, f"http://{host}")


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8501",
        "localhost.evil.example",
        "evil.localhost",
        "notlocalhost",
        "localhost:8501@evil.example",
        "evil.example#localhost",
        "localhost/evil.example",
        "localhost:port",
        "localhost:99999999",
        "[::1",
        "",
        "10.0.0.7",
    ],
)
def test_other_hosts_are_refused(options, host):
    assert not answers(host)
    assert not answers(host, f"http://{host}")


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "", "file://", "http://localhost.evil.example:8501"]
)
def test_pages_of_other_hosts_are_refused(options, origin):
    assert not answers("localhost:8501", origin)


def test_configured_hosts_are_known(options):
    options["server.allowedHosts"] = ["lab.example", "*.site.example"]
    assert answers("lab.example", "https://lab.example")
    assert answers("a.site.example")
    assert not answers("site.example")
    assert answers("localhost")
    options["server.allowedHosts"] = ["*"]
    assert answers("whatever.example")


@pytest.mark.parametrize("option", hosts.ADDRESS_OPTIONS)
def test_the_address_of_the_server_is_known_but_not_the_one_for_every_interface(options, option):
    options[option] = "10.0.0.7"
    assert answers("10.0.0.7:8501")
    options[option] = "0.0.0.0"
    assert not answers("0.0.0.0:8501")


@pytest.mark.parametrize("reached", ["10.0.0.7", "::ffff:10.0.0.7"])
def test_a_server_on_every_interface_is_known_by_the_address_that_was_reached(options, reached):
    async def reached_there(scope, receive, send):
        await APP({**scope, "server": (reached, 8501)}, receive, send)

    client = TestClient(reached_there)
    assert client.get("/", headers={"host": "10.0.0.7:8501"}).status_code == 200
    assert client.get("/", headers={"host": "10.0.0.8:8501"}).status_code == 403
    options["server.allowedHosts"] = ["lab.example"]
    refused = client.get("/", headers={"host": "10.0.0.7:8501"})
    assert "--server.allowedHosts" in refused.text


def test_two_hosts_are_none(options):
    client = TestClient(APP)
    headers = [("host", "localhost"), ("host", "evil.example")]
    assert client.get("/", headers=headers).status_code == 403


@pytest.mark.parametrize(
    ("changed", "headers", "own"),
    [
        ({}, {}, True),
        ({}, {"host": "localhost:8501"}, True),
        ({"server.address": "0.0.0.0"}, {"host": "localhost:8501"}, False),
        ({"server.address": None}, {}, False),
        ({"browser.serverAddress": "lab.example"}, {}, False),
        ({"server.allowedHosts": ["lab.example"]}, {"host": "localhost:8501"}, False),
        ({}, {"host": "lab.example"}, False),
        ({}, {"host": "localhost", "x-forwarded-for": "10.0.0.9"}, False),
    ],
)
def test_the_users_own_machine(options, monkeypatch, changed, headers, own):
    options.update(changed)
    context = type("Context", (), {"headers": headers})
    monkeypatch.setattr(streamlit, "context", context)
    assert hosts.is_users_own_machine() == own
