"""Drive the app's pages without a browser: open one, press its buttons, read what it shows."""

import json
from pathlib import Path

import pandas as pd
from streamlit.testing.v1 import AppTest

from workbench.session.navigation import TARGET
from workbench.session.trail import TRAIL

SCRIPT = Path(__file__).parents[2] / "workbench" / "shell" / "main.py"


def open_page(page: str = "overview", /, **parameters: str) -> AppTest:
    """Open a page; the test fails if the page raises.

    Args:
        page: URL path of the page, e.g. ``retrieval``.
        **parameters: Parameters of the URL.
    """
    app = AppTest.from_file(SCRIPT, default_timeout=120)
    for key, value in parameters.items():
        app.query_params[key] = value
    if page != "overview":
        app.session_state[TARGET.key] = page
    app.run()
    assert not app.exception, app.exception[0].message
    return app


def go(app: AppTest, parameters: dict[str, str]) -> None:
    """Change the URL's parameters as the browser's back and forward buttons do."""
    for key in list(app.query_params):
        del app.query_params[key]
    for key, value in parameters.items():
        app.query_params[key] = value
    app.run()
    assert not app.exception


def press(app: AppTest, label: str) -> None:
    """Press the first button with this label."""
    app.button[[b.label for b in app.button].index(label)].click().run()
    assert not app.exception


def parameters_of(app: AppTest) -> dict[str, str]:
    """Return the parameters of the URL."""
    return {key: app.query_params[key] for key in app.query_params}


def trail_of(app: AppTest) -> list[int | str]:
    """Return what the app's Back button goes back to, the oldest first."""
    return list(app.session_state[TRAIL.key]) if TRAIL.key in app.session_state else []


def text_of(app: AppTest) -> str:
    """Return the text of a page: Markdown, captions, info boxes and plain text."""
    return "\n".join(e.value for e in (*app.markdown, *app.caption, *app.info, *app.text))


def loss_tables(app: AppTest) -> list[pd.DataFrame]:
    """Return the Overview's tables of losses as the texts of their cells."""
    found = []
    for element in app.get("bidi_component"):
        if element.proto.component_name == "retrieval_table":
            data = json.loads(element.proto.json)
            titles = [column["title"] for column in data["columns"]]
            rows = [[cell["text"] for cell in row] for row in data["rows"]]
            found.append(pd.DataFrame(rows, columns=titles))
    return found
