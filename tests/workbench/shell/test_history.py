"""The script that keeps the browser's history at one step per action."""

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from workbench.shell.history import HistoryScript, script_text


def _answer(content: str, kind: type, accept: str, **headers: str):
    async def endpoint(request):
        return kind(content, headers={"etag": "x"})

    app = Starlette(routes=[Route("/", endpoint)], middleware=[Middleware(HistoryScript)])
    return TestClient(app).get("/", headers={"accept": accept} | headers)


def test_the_script_is_inserted_into_html_pages_only():
    html = "<html><head><title>x</title></head></html>"
    answer = _answer(html, HTMLResponse, "text/html,*/*")
    script = script_text()
    assert answer.text == html.replace("<head>", f"<head><script>\n{script}</script>")
    assert "etag" not in answer.headers
    assert _answer(html, HTMLResponse, "*/*").text == html
    assert _answer(html, PlainTextResponse, "text/html").text == html
