"""The headline of the page Compare losses."""

import shlex
import shutil

from tests.runs.helpers import edit
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


def test_the_only_run_says_by_which_command_to_get_another_on_the_same_items(make_run, monkeypatch):
    run = make_run("one")
    edit(run.path, "config.yaml", "settings", "dataset_options", to={"subset": "two words"})
    monkeypatch.setenv("RETRIEVAL_RUNS", str(run.path.parents[1]))
    typed = shlex.split(open_page("compare").code[0].value)
    assert typed[typed.index("--dataset-option") + 1] == "subset=two words"
    assert typed[typed.index("--dataset") + 1] == run.settings.dataset
    assert typed[typed.index("--runs") + 1] == str(run.path.parents[1])
