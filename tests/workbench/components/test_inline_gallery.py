"""Galleries for notebooks and reports."""

import re

from tests.workbench.run_factory import NAMES
from workbench.components.inline_gallery import confident_failure_rows, gallery, random_failure_rows


def test_a_gallery_shows_every_result_with_its_sign(make_run):
    run = make_run("one")
    markup = gallery(run, run.neighbors(), [0, 1], k=5)._repr_html_()
    assert markup.count("<figure") == 2 * (1 + 5)
    assert markup.count('src="data:image/webp;base64,') == 12
    hits = int((run.items["label"].to_numpy()[run.neighbors().ids[:2, :5]] == 0).sum())
    assert markup.count("✓") == markup.count('class="hit"') == hits
    assert re.search(r"1 · \d\.\d{3}", markup)


def test_failures_are_failures(make_run):
    run = make_run("one")
    found = run.neighbors()
    wrong = set(found.queries[found.first_relevant_rank > 1])
    assert set(random_failure_rows(run, found, 1000)) == wrong
    rows = confident_failure_rows(run, found, 1000)
    assert set(rows) == wrong
    similarity = found.similarities[[list(found.queries).index(row) for row in rows], 0]
    assert (similarity[:-1] >= similarity[1:]).all()
    assert len(random_failure_rows(run, found, 2)) == 2
    assert 'class="hit"' not in gallery(run, found, rows, k=1)


def test_names_are_escaped(make_run, photos):
    items = photos.assign(label_name=NAMES[0])
    run = make_run("one", items=items)
    markup = gallery(run, run.neighbors(), [0])
    assert "<script>" not in markup
    assert "&lt;script&gt;" in markup
