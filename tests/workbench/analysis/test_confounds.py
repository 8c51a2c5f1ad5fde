"""A lead is attributed to the loss only if the runs differ in nothing else."""

import pytest

from retrieval.runs.run import Run
from tests.runs.helpers import edit, with_settings
from tests.workbench.driver import open_page, text_of
from workbench.analysis.confounds import confounds_line, other_settings
from workbench.layout.theme import plain


@pytest.fixture
def runs(make_run, monkeypatch) -> dict[str, Run]:
    """Three losses, each with the batch and the normalization recommended for it."""
    made = {}
    for number, loss in enumerate(("lifted_loss", "npairs_loss", "angular_loss")):
        run = make_run(loss, loss=loss, seed=number)
        for name, value in (("classes_per_batch", 20 * (number + 1)), ("normalize", number == 2)):
            edit(run.path, "config.yaml", "settings", name, to=value)
        made[loss] = Run(run.path)
    monkeypatch.setenv("RETRIEVAL_RUNS", str(run.path.parents[1]))
    return made


def test_what_is_recommended_per_loss_and_the_seed_do_not_count(runs):
    best, *others = runs.values()
    assert other_settings([best], others) == []
    assert confounds_line({name: [run] for name, run in runs.items()}) == ""
    assert "differs from" not in text_of(open_page())


def test_other_differing_settings_are_named_in_the_order_of_the_file(runs):
    best, second, third = runs
    runs[best] = with_settings(runs[best], steps=300, image_size=128, augment="strong")
    groups = {name: [run] for name, run in runs.items()}
    line = f"{best} differs from the others in more than the loss: image_size, augment, steps."
    assert confounds_line(groups) == line
    runs[second] = with_settings(runs[second], steps=300, image_size=128, augment="strong")
    groups[second] = [runs[second]]
    assert confounds_line(groups) == line.replace("the others", third)
    assert confounds_line({best: groups[best], second: groups[second]}) == ""


def test_untrained_networks_and_imported_runs_do_not_count(runs, make_run):
    best = runs["lifted_loss"]
    untrained = with_settings(make_run("untrained", loss="none"), steps=9, freeze_backbone=True)
    imported = make_run("imported", loss=None)
    assert other_settings([best], [untrained, imported]) == []
    assert confounds_line({"best": [best], "untrained": [untrained]}) == ""
    assert confounds_line({"best": [best]}) == ""


def test_the_pages_say_it_beside_the_verdict(runs):
    with_settings(runs["lifted_loss"], freeze_backbone=True)
    assert plain("in more than the loss: freeze_backbone.") in text_of(open_page())
    compare = open_page("compare", a="lifted_loss", b="npairs_loss")
    said = plain("lifted_loss differs from npairs_loss in more than the loss: freeze_backbone.")
    assert said in text_of(compare)
    assert "more than" not in text_of(open_page("compare", a="angular_loss", b="npairs_loss"))
