"""The app in a checkout: ``streamlit run app.py``; the same as ``workbench/shell/app.py``."""

import streamlit as st

from workbench.shell.server import OPTIONS, SCRIPT

app = st.App(SCRIPT, **OPTIONS)
