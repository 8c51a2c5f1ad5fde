"""The headline of the page Compare losses."""

import shutil

from tests.workbench.driver import open_page
from workbench import figures
from workbench.figures.colors import LOSS_COLORS


def test_compare_has_the_losses_colors_in_its_headline(runs_root, monkeypatch):
    monkeypatch.setenv("RETRIEVAL_RUNS", str(runs_root))
    app = open_page("compare", a="contrastive_loss-s0", b="lifted_loss-s0")
    (verdict,) = (m.value for m in app.markdown if "R@1 differs by" in m.value)
    for letter, loss in (("A", "contrastive_loss"), ("B", "lifted_loss")):
        assert (
            f'<span style="color:{LOSS_COLORS[loss]}">●</span> **{letter}** {loss[:6]}' in verdict
        )
    figure = figures.win_tie_loss(1, 2, 3, ("#111111", "#222222"))
    assert [bar.marker.color for bar in figure.data][::2] == ["#111111", "#222222"]


def test_compare_says_when_no_query_differs(runs_root, tmp_path, monkeypatch):
    shutil.copytree(runs_root / "photos" / "lifted_loss-s0", tmp_path / "photos" / "one")
    shutil.copytree(tmp_path / "photos" / "one", tmp_path / "photos" / "two")
    monkeypatch.setenv("RETRIEVAL_RUNS", str(tmp_path))
    app = open_page("compare", a="one", b="two")
    assert any("+0.0 to +0.0): no query differs" in m.value for m in app.markdown)
