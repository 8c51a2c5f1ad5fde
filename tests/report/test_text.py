"""Cells and escaping of a report's tables."""

from types import SimpleNamespace

import numpy as np
import pandas as pd

from retrieval.report.text import escape, published_rows


def test_latex_text_is_escaped_once():
    assert escape(r"a_b \ 50% {x} ~^ <&>#$") == (
        r"a\_b \textbackslash{} 50\% \{x\} \textasciitilde{}\textasciicircum{} "
        r"\textless{}\&\textgreater{}\#\$"
    )


def test_a_figure_published_under_another_protocol_has_a_dash_beside_it():
    why = "not comparable: published under leave-one-out"
    row = {"run": "a", "recipe": "inshop/npairs_loss", "metric": "recall@1", "measured": np.nan}
    table = pd.DataFrame([row | {"published": 0.9, "changed": why}])
    cells = ["a", "inshop/npairs_loss", "R@1", "–", "90.0", why]
    assert published_rows(SimpleNamespace(published=table)) == [cells]
