"""Cells and escaping of a report's tables."""

from types import SimpleNamespace

import numpy as np
import pandas as pd

from retrieval.report.text import devices, escape, published_rows
from retrieval.runs.records import Provenance


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


def test_what_the_runs_were_computed_on_is_said_where_it_is_recorded():
    def section(**names):
        runs = {n: [SimpleNamespace(provenance=Provenance(device=d))] for n, d in names.items()}
        return SimpleNamespace(groups=runs)

    gpu, cpu = "NVIDIA H200 (138 GiB), float32", "CPU with 2 cores (24 GiB), float32"
    assert devices(section(a="", b="")) == ""
    assert devices(section(a=gpu, b=gpu)) == f"Computed on {gpu}."
    assert devices(section(a=gpu, b=cpu, c=cpu)) == f"Computed on {gpu}: a; {cpu}: b, c."
    assert devices(section(a=gpu, b="")) == f"Computed on {gpu}: a; not recorded: b."
