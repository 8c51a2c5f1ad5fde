"""The page that is shown while there are no runs."""

from tests.workbench.damage import break_run
from tests.workbench.driver import open_page, text_of


def test_only_broken_runs_show_the_empty_state(make_run, monkeypatch):
    bad = make_run("bad")
    break_run(bad.path, "no metrics")
    monkeypatch.setenv("RETRIEVAL_RUNS", str(bad.path.parents[1]))
    app = open_page()
    assert app.title[0].value == "No runs yet"
    assert "metrics.json is missing" in text_of(app)


def test_without_runs_the_page_says_what_to_type(tmp_path, monkeypatch):
    monkeypatch.setenv("RETRIEVAL_RUNS", str(tmp_path / "nowhere"))
    app = open_page()
    assert app.title[0].value == "No runs yet"
    assert app.code[0].value.startswith("retrieval demo")
    assert all(str(tmp_path / "nowhere") in code.value for code in app.code)
    assert "retrieval train --dataset grocery --loss all" in app.code[1].value
