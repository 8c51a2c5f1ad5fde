"""Analyses of runs: pure functions that return tables and lists, without Streamlit."""
