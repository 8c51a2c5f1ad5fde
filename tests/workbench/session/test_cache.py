"""Figures are made once for all sessions, and again when a run is written anew."""

import os

import plotly.graph_objects as go

from retrieval.runs.run import Run
from tests.runs.helpers import write_small_run
from workbench.session.cache import make_once
from workbench.session.selection import Selection


def test_a_figure_is_made_again_only_if_a_run_protocol_or_style_is_another(tmp_path):
    path = write_small_run(tmp_path / "made" / "one")
    run = Run(path)
    (path / "history.csv").write_text("step,loss\n")
    made = []

    def make() -> go.Figure:
        made.append(go.Figure())
        return made[-1]

    def ask(title="Title", protocol="leave_one_out", style=""):
        chosen = Selection("made", [run], run, None, protocol, protocol, 10)
        return make_once(chosen, title, make, style)

    first = ask()
    assert ask() is first
    assert len(made) == 1
    os.utime(path / "history.csv", (1, 1))
    others = [ask(), ask(title="Other"), ask(protocol="query_gallery"), ask(style="dark")]
    assert len({id(figure) for figure in (first, *others)}) == len(made) == 5
