"""The workbench's web app: ``streamlit run app.py``.

``workbench/shell/main.py`` is the script that draws the pages; the routes beside it serve
thumbnails, pictures and hover cards over HTTP, so that the browser loads and caches images itself.
The middleware keeps the browser's history at one step per action.
"""

import streamlit as st
from starlette.middleware import Middleware

from workbench.data.images import ROUTES
from workbench.shell.history import HistoryScript
from workbench.shell.startup import open_runs_early

app = st.App(
    "workbench/shell/main.py",
    routes=ROUTES,
    middleware=[Middleware(HistoryScript)],
    lifespan=open_runs_early,
)
