"""The page that the app shows while there are no runs."""

import streamlit as st

from retrieval.errors import counted
from retrieval.runs.store import BrokenRun
from workbench.data.loading import runs_root


def empty_page(broken: list[BrokenRun]) -> None:
    """Say how to make a first run, and list the folders that could not be read.

    Args:
        broken: See :func:`workbench.data.loading.load_runs`.
    """
    st.title("No runs yet", anchor=False)
    st.markdown(
        "This app shows finished training runs: which loss retrieves best, whether the difference "
        "is real, and what each loss gets wrong."
    )
    st.text(f"It reads the runs in {runs_root().resolve()}")
    first, second, third = st.columns(3, gap="large")
    with first:
        st.subheader("Demo", anchor=False)
        st.code("retrieval demo", language="bash")
        st.caption("Trains six losses on a built-in data set: no download, about ten minutes.")
    with second:
        st.subheader("Real photographs", anchor=False)
        st.code("retrieval fetch grocery\nretrieval train --dataset grocery --loss all", "bash")
        st.caption("Downloads the Grocery Store photographs and trains six losses on them.")
    with third:
        st.subheader("Your own images", anchor=False)
        st.code("retrieval train --dataset folder \\\n  --data path/to/images", language="bash")
        st.caption("One subfolder per class; some classes are for training, the rest for testing.")
    st.caption("To read another folder, open the app with `retrieval app --runs path/to/runs`.")
    if broken:
        st.subheader(f"{counted(len(broken), 'folder')} could not be read", anchor=False)
        for run in broken:
            st.text(run.reason)
