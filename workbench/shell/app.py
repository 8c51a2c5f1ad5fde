"""The app as installed: ``retrieval app``. Streamlit requires the call of ``st.App`` right here."""

import streamlit as st

from workbench.shell.server import OPTIONS, SCRIPT

app = st.App(SCRIPT, **OPTIONS)
