"""The ASGI app that serves the workbench: its script, its routes and its middleware.

The routes serve thumbnails, pictures and hover cards over HTTP, so that the browser loads and
caches images itself. The middleware answers only requests that were meant for this server, and
keeps the browser's history at one step per action.
"""

from pathlib import Path
from typing import Any

from starlette.middleware import Middleware

from workbench.data.images import ROUTES
from workbench.shell.guard import OnlyKnownHosts
from workbench.shell.history import HistoryScript
from workbench.shell.startup import open_runs_early

SCRIPT = Path(__file__).with_name("main.py")
OPTIONS: dict[str, Any] = {
    "routes": ROUTES,
    "middleware": [Middleware(OnlyKnownHosts), Middleware(HistoryScript)],
    "lifespan": open_runs_early,
}
