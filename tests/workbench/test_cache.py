"""Figures made once for all sessions, and anew when a run is."""

import os

import plotly.graph_objects as go

from retrieval.runs.run import Run
from workbench.session.cache import make_once
from workbench.session.selection import Selection


def test_a_figure_is_made_again_only_if_a_run_protocol_or_style_is_another(tmp_path):
    run = Run(tmp_path)
    (tmp_path / "history.csv").write_text("step,loss\n")
    protocols = [{"protocol": {"name": name, "title": name}} for name in ("one", "two")]
    vars(run)["metrics"] = {"primary": "one", "results": protocols}
    made = []

    def make() -> go.Figure:
        made.append(go.Figure())
        return made[-1]

    def ask(title="Title", protocol="one", style=""):
        chosen = Selection("made", [run], run, None, protocol, protocol, 10)
        return make_once(chosen, title, make, style)

    first = ask()
    assert ask() is first
    assert len(made) == 1
    os.utime(tmp_path / "history.csv", (1, 1))
    others = [ask(), ask(title="Other"), ask(protocol="two"), ask(style="dark")]
    assert len({id(figure) for figure in (first, *others)}) == len(made) == 5
