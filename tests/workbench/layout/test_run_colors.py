"""The color of every run, the same on every page."""

from retrieval.runs.run import Run
from retrieval.runs.writing import write_config
from workbench.figures.colors import LOSS_COLORS, UNTRAINED_COLOR
from workbench.layout.run_colors import pair_colors, run_colors
from workbench.session.selection import Selection


def test_a_loss_has_one_color_whichever_runs_are_shown(tmp_path):
    def recorded(name: str, loss: str, seed: int) -> Run:
        """Return a run of which only the settings are known."""
        path = tmp_path / name
        path.mkdir()
        settings = {"dataset": "made", "loss": loss, "seed": seed}
        write_config(path, {"settings": settings, "dataset": {"name": "made"}, "provenance": {}})
        return Run(path)

    runs = [recorded("a", "lifted_loss", 0), recorded("b", "lifted_loss", 1)]
    runs += [recorded("c", "angular_loss", 0), recorded("d", "none", 0)]
    colors = run_colors(runs)
    assert colors == run_colors(runs[::-1])
    assert colors["a"] == colors["b"] == LOSS_COLORS["lifted_loss"]
    assert colors["d"] == UNTRAINED_COLOR

    def pair(a, b):
        return pair_colors(Selection("made", runs, a, b, "leave_one_out", "", 10))

    assert pair(runs[0], runs[2]) == (colors["a"], colors["c"])
    assert pair(runs[2], runs[0]) == (colors["c"], colors["a"])
    seeds = pair(runs[0], runs[1])
    assert seeds[0] == colors["a"]
    assert seeds[1] not in colors.values()
    assert pair(runs[0], None)[0] == colors["a"]
