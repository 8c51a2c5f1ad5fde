"""Navigation and theme: chooses the page, draws the sidebar, runs the page.

It has a folder of its own because Streamlit takes a ``pages`` folder beside the script it runs for
pages of another kind.
"""

import streamlit as st

from workbench.data.loading import load_runs
from workbench.layout.theme import CSS, LOGO
from workbench.pages import PAGES
from workbench.session import url as address
from workbench.session.navigation import follow_jump
from workbench.session.trail import current_item
from workbench.shell.empty import empty_page
from workbench.shell.sidebar import sidebar

st.set_page_config(page_title="Retrieval workbench", page_icon="🔎", layout="wide")
st.html(CSS)
st.logo(LOGO, size="large")
runs, broken = load_runs()
st.session_state["broken"] = broken
if not runs:
    st.navigation([st.Page(empty_page, title="Retrieval workbench")], position="hidden").run()
    st.stop()
pages = {
    url: st.Page(draw, title=title, icon=icon, url_path=url, default=url == "overview")
    for url, (title, icon, draw) in PAGES.items()
}
page = st.navigation(list(pages.values()), expanded=True)
follow_jump(pages)
address.start()
st.session_state["selection"] = chosen = sidebar(runs)
current_item(len(chosen.a.items))
if broken:
    with st.sidebar.expander(f"{len(broken)} folder(s) skipped", icon=":material/warning:"):
        for run in broken:
            st.text(run.reason)
page.run()
address.write()
