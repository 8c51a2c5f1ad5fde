"""What the app says when there is nothing to look at yet."""

import streamlit as st

from retrieval.errors import counted
from retrieval.runs.store import BrokenRun
from workbench.data.loading import runs_root


def empty_page(broken: list[BrokenRun]) -> None:
    """Say what to type to get a first run, and list folders that could not be read.

    Args:
        broken: See :func:`workbench.data.loading.load_runs`.
    """
    st.title("No runs yet", anchor=False)
    st.markdown(
        "This app looks at finished training runs: which loss retrieves best, whether the "
        "difference is real, and what each one gets wrong."
    )
    st.text(f"It looks in {runs_root().resolve()}")
    first, second, third = st.columns(3, gap="large")
    with first:
        st.subheader("See it work", anchor=False)
        st.code("make demo", language="bash")
        st.caption("Trains six losses on an embedded data set, no download, about ten minutes.")
    with second:
        st.subheader("Real photographs", anchor=False)
        st.code("retrieval fetch grocery\nretrieval train --dataset grocery --loss all", "bash")
        st.caption("Fetches the Grocery Store photographs and compares all losses on them.")
    with third:
        st.subheader("Your own images", anchor=False)
        st.code("retrieval train --dataset folder \\\n  --data path/to/images", language="bash")
        st.caption("One sub-folder per class. The class folders are split, train from test.")
    st.caption("Runs kept elsewhere? Start the app with RETRIEVAL_RUNS=path/to/runs.")
    if broken:
        st.subheader(f"{counted(len(broken), 'folder')} could not be read", anchor=False)
        for run in broken:
            st.text(run.reason)
