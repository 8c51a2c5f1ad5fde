"""A row selected in a table of classes."""

import pytest
import streamlit

from tests.workbench.driver import open_page


@pytest.mark.parametrize("tab", ["Confused classes", "Worst classes"])
def test_a_selection_does_not_outlive_its_run_protocol_or_row(make_run, monkeypatch, tab):
    monkeypatch.setenv("RETRIEVAL_RUNS", str(make_run("one").path.parents[1]))
    make_run("two", loss="contrastive_loss")
    keys = []

    def dataframe(*args, key: str, **options) -> dict:
        keys.append(key)
        return {"selection": {"rows": [10_000]}}  # selected when the table was longer

    monkeypatch.setattr(streamlit, "dataframe", dataframe)
    open_page("failures", tab=tab, a="one")
    open_page("failures", tab=tab, a="two")
    open_page("failures", tab=tab, a="two", protocol="leave_one_out")
    assert len(set(keys)) == 3
