"""The page that the app shows while there are no runs."""

import shlex

import streamlit as st

from retrieval.errors import counted
from retrieval.runs.store import BrokenRun
from retrieval.storage.addresses import address_of, shown
from workbench.data.following import problem_of
from workbench.data.loading import DEFAULT_ROOT, runs_root
from workbench.layout.theme import plain


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
    root = runs_root()
    st.text(f"It reads the runs in {address_of(root) or root.resolve()}")
    if problem := problem_of(root):
        st.warning(plain(problem), icon=":material/cloud_off:")
    into = "" if root == DEFAULT_ROOT else f" \\\n  --runs {shlex.quote(shown(root))}"
    columns = st.container(key="beside").columns(4, gap="large")
    first, second, third, fourth = columns
    with first:
        st.subheader("Demo", anchor=False)
        st.code(f"retrieval demo{into}", language="bash")
        st.caption("Trains six losses on a built-in data set: no download, about ten minutes.")
    with second:
        st.subheader("Real photographs", anchor=False)
        st.code(
            "retrieval fetch grocery\nretrieval train --dataset grocery --loss all \\\n"
            f"  --freeze-backbone{into}",
            language="bash",
        )
        st.caption(
            "Downloads the Grocery Store photographs and trains six losses on them. "
            "`--freeze-backbone` trains the last layer only, which a laptop can do; leave it out "
            "on a machine with a GPU."
        )
    with third:
        st.subheader("Your own images", anchor=False)
        st.code(
            "retrieval train --dataset folder \\\n  --data path/to/images \\\n"
            f"  --freeze-backbone{into}",
            language="bash",
        )
        st.caption("One subfolder per class; some classes are for training, the rest for testing.")
    with fourth:
        st.subheader("Your own embeddings", anchor=False)
        st.code(
            f"retrieval import \\\n  --embeddings embeddings.npy \\\n  --items items.csv{into}",
            language="bash",
        )
        st.caption("Embeddings of any framework, and a list with the label of every item.")
    st.caption("To read another folder, open the app with `retrieval app --runs path/to/runs`.")
    if broken:
        st.subheader(f"{counted(len(broken), 'folder')} could not be read", anchor=False)
        for run in broken:
            st.text(run.reason)
