"""A run whose loss has a better setting gets a hint, unless it repeats a published experiment."""

from retrieval.losses import hint
from tests.runs.helpers import edit
from tests.workbench.driver import open_page, text_of
from workbench.analysis.better_settings import hints
from workbench.layout.theme import plain


def set_to(run, **settings):
    for name, value in settings.items():
        edit(run.path, "config.yaml", "settings", name, to=value)


def test_each_loss_has_one_hint(make_run):
    runs = [make_run(name, loss="contrastive_loss") for name in ("one", "two")]
    assert hints(runs) == [hint("contrastive_loss", {})]
    assert hints([make_run("three", loss="proxy_anchor"), make_run("four", loss=None)]) == []


def test_no_hint_for_other_options_or_a_recipe(make_run):
    other, recipe = make_run("one", loss="contrastive_loss"), make_run("two")
    set_to(other, loss_options={"pairs": "active", "power": 1})
    set_to(recipe, loss="contrastive_loss", recipe="cub200/contrastive_loss")
    assert hints([other, recipe]) == []


def test_the_pages_show_it(make_run, monkeypatch):
    runs = [make_run("one", loss="contrastive_loss"), make_run("two", loss="proxy_anchor")]
    monkeypatch.setenv("RETRIEVAL_RUNS", str(runs[0].path.parents[1]))
    wanted = plain(hint("contrastive_loss", {}))
    assert wanted in text_of(open_page())
    assert wanted in text_of(open_page("compare", a="one", b="two"))
