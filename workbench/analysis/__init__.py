"""Pure functions from runs to tables and lists; no Streamlit."""
