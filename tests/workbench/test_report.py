"""The page of ``retrieval report``: one file, every run named, names shown as text."""

import pandas as pd

from workbench.report import table_html


def test_the_table_shows_percent_with_intervals_and_escapes_names():
    row = {"name": "<b>loss</b>", "seeds": 3, "recall@1": 0.5, "recall@1/low": 0.4,
           "recall@1/high": 0.6, "nmi": 0.25, "nmi/low": float("nan")}  # fmt: skip
    text = table_html(pd.DataFrame([row]))
    assert "50.0 [40.0, 60.0]" in text
    assert "<td>0.250</td>" in text
    assert "&lt;b&gt;loss&lt;/b&gt;" in text
    assert "<b>" not in text
