"""The script of the app: set up the page, draw the sidebar, then draw the page that was chosen.

Streamlit takes a ``pages`` folder beside its main script for pages of its own kind, so this script
stands in a folder without one.
"""

import streamlit as st

from workbench.data.loading import load_runs
from workbench.data.trainings import trainings
from workbench.layout.theme import CSS, LOGO
from workbench.pages import PAGES, TRAININGS, TRAININGS_PATH
from workbench.session import url
from workbench.session.changes import reopening
from workbench.session.navigation import follow_jump
from workbench.session.selection import previous_selection, select
from workbench.session.trail import current_item
from workbench.shell.empty import empty_page
from workbench.shell.notices import draw_notices, what_happened
from workbench.shell.sidebar import sidebar, skipped_folders
from workbench.shell.watch import watch, watch_for_first

TITLE = "Retrieval workbench"

st.set_page_config(page_title=TITLE, page_icon="🔎", layout="wide")
st.html(CSS)
st.logo(LOGO, size="large")
runs, broken = load_runs()
if not runs:
    draw = TRAININGS.draw if trainings() else lambda: empty_page(broken)
    nothing = st.Page(draw, title=TITLE, url_path="empty", default=True)
    unfinished = st.Page(TRAININGS.draw, title=TITLE, url_path=TRAININGS_PATH)
    st.navigation([nothing, unfinished], position="hidden").run()
    watch_for_first()
    st.stop()
first = next(iter(PAGES))
pages = {
    path: st.Page(
        page.draw,
        title=page.title,
        icon=f":material/{page.icon}:",
        url_path=path,
        default=path == first,
    )
    for path, page in {**PAGES, TRAININGS_PATH: TRAININGS}.items()
}
page = st.navigation(list(pages.values()), expanded=True)
follow_jump(pages)
url.start(page.url_path)
before = previous_selection()
notices = st.container()
with reopening(runs):
    chosen = sidebar(runs)
    happened = what_happened(before, chosen, runs)
    select(chosen)
    current_item(len(chosen.a.items))
    skipped_folders(broken)
    watch(pages[TRAININGS_PATH])
    page.run()
url.write()
draw_notices(notices, happened)
