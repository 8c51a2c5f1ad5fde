"""Galleries for notebooks and reports."""

import re

from tests.workbench.test_robustness import NAMES
from workbench.html_gallery import show_failures, show_queries


def test_a_gallery_shows_every_result_with_its_sign(make_run):
    run = make_run("one")
    gallery = show_queries(run, [0, 1], k=5)
    markup = gallery._repr_html_()
    assert markup.count("<figure") == 2 * (1 + 5)
    assert markup.count('src="data:image/webp;base64,') == 12
    hits = int((run.items["label"].to_numpy()[run.neighbours().ids[:2, :5]] == 0).sum())
    assert markup.count("✓") == markup.count('class="hit"') == hits
    assert re.search(r"1 · \d\.\d{3}", markup)


def test_failures_are_failures(make_run):
    run = make_run("one")
    wrong = (run.neighbours().first_hit > 1).sum()
    for order in ("confident", "near miss", "worst rank"):
        markup = show_failures(run, order=order, count=100, k=1).html
        assert 1 <= markup.count('class="miss"') <= wrong
        assert 'class="hit"' not in markup


def test_names_are_escaped(make_run, photos):
    items = photos.assign(label_name=NAMES[0])
    markup = show_queries(make_run("one", items=items), [0]).html
    assert "<script>" not in markup
    assert "&lt;script&gt;" in markup
