"""What the address asks for in vain and what became of a run is said in one line."""

import shutil

import pytest

from retrieval.runs.run import ChangedRun
from tests.workbench.driver import go, open_page, parameters_of
from workbench.pages.retrieval import page as retrieval_page


def warnings_of(app) -> list[str]:
    return [element.value.replace("\\", "") for element in app.warning]


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize(
    ("page", "parameters", "shown"),
    [
        ("overview", {"page": "overview"}, "no such choice"),
        ("overview", {"data": "nope"}, "photos"),
        ("overview", {"a": "nope"}, "semi_hard_triplet-s0"),
        ("overview", {"b": "nope"}, "contrastive_loss-s0"),
        ("overview", {"protocol": "nope"}, "query_gallery"),
        ("overview", {"k": "7"}, "10"),
        ("overview", {"foo": "1"}, "no such choice"),
        ("failures", {"tab": "Hubs and orphans"}, "shown: "),
        ("failures", {"foo": "1"}, "no such choice"),
        ("retrieval", {"item": "99999"}, "shown: "),
        ("retrieval", {"item": "-1"}, "shown: "),
        ("retrieval", {"show": "everything"}, "shown: "),
        ("why", {"match": "99999"}, "default"),
        ("map", {"color": "taste"}, "shown: "),
        ("compare", {"compared": "Nothing"}, "A right, B wrong"),
    ],
)
def test_what_the_address_asks_for_in_vain_is_named(page, parameters, shown):
    [asked] = parameters.values()
    app = open_page(page, **parameters)
    [line] = (text for text in warnings_of(app) if "address" in text)
    assert f"“{asked}”" in line
    assert shown in line
    app.run()  # as the browser does when a component has loaded
    assert line in warnings_of(app)
    app.segmented_control(key="k").set_value(20).run()
    assert not any("address" in text for text in warnings_of(app))


@pytest.mark.usefixtures("served")
def test_a_whole_address_is_followed_without_a_word():
    app = open_page("failures", order="Near miss", page="2", protocol="leave_one_out")
    again = open_page("failures", **parameters_of(app))
    go(app, parameters_of(again))
    assert warnings_of(app) == warnings_of(again) == []


@pytest.fixture
def own_runs(runs_root, tmp_path, monkeypatch):
    """A copy of the runs to change, two of which are looked at."""
    root = shutil.copytree(runs_root, tmp_path / "runs")
    monkeypatch.setenv("RETRIEVAL_RUNS", str(root))
    return root / "photos"


def test_a_run_that_is_deleted_while_looked_at_is_named(own_runs):
    app = open_page("overview", a="lifted_loss-s0")
    shutil.rmtree(own_runs / "lifted_loss-s0")
    app.run()
    [line] = warnings_of(app)
    assert "lifted_loss-s0" in line
    assert app.session_state["a"] in line


def test_a_run_that_is_replaced_while_looked_at_is_named(own_runs):
    app = open_page("retrieval", a="lifted_loss-s0")
    folder = own_runs / "lifted_loss-s0"
    shutil.copytree(folder, own_runs / ".new")
    shutil.rmtree(folder)
    (own_runs / ".new").rename(folder)
    app.run()
    [line] = warnings_of(app)
    assert "lifted_loss-s0 was replaced" in line


def test_a_run_that_is_replaced_while_a_page_is_drawn_is_opened_again(own_runs, monkeypatch):
    app = open_page("retrieval", a="lifted_loss-s0")
    folder, draw = own_runs / "lifted_loss-s0", retrieval_page.page_head

    def replace_run(*args, **options):
        monkeypatch.setattr(retrieval_page, "page_head", draw)
        shutil.copytree(folder, own_runs / ".new")
        shutil.rmtree(folder)
        (own_runs / ".new").rename(folder)
        raise ChangedRun(f"{folder} was changed while it was read")

    monkeypatch.setattr(retrieval_page, "page_head", replace_run)
    app.run()
    assert not app.exception
    [line] = warnings_of(app)
    assert "lifted_loss-s0 was replaced" in line


@pytest.mark.slow
def test_a_run_that_is_not_evaluated_is_no_skipped_folder(own_runs):
    trained = own_runs / "trained"
    (trained / "checkpoints").mkdir(parents=True)
    shutil.copy(own_runs / "lifted_loss-s0" / "config.yaml", trained)
    app = open_page()
    titles = [expander.label for expander in app.sidebar.expander]
    assert "1 run not evaluated" in titles
    assert not any("skipped" in title for title in titles)
    (own_runs / "torn").mkdir()
    shutil.copy(trained / "config.yaml", own_runs / "torn")
    assert "1 folder skipped" in [each.label for each in open_page().sidebar.expander]
