"""The page of trainings that are not finished."""

import shutil
import time

import pytest

from retrieval.runs.places import LIVE_FILE
from tests.runs.unfinished import (
    live,
    process_elsewhere,
    process_gone,
    write_queue,
    write_training,
)
from tests.workbench.driver import open_page, text_of
from workbench.shell import watch


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A folder of runs without a finished one."""
    monkeypatch.setenv("RETRIEVAL_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


@pytest.fixture
def among_runs(root, template):
    """A folder of runs with a finished one."""
    shutil.copytree(template, root / "photos" / "done")
    return root


def page(app):
    """Return the texts, errors and commands of the page."""
    errors = [each.value.replace("\\", "") for each in app.error]
    return text_of(app).replace("\\", ""), errors, [each.value for each in app.code]


def test_a_running_one_shows_how_far_it_is_and_on_what(root):
    write_training(root / "photos" / "one", live())
    app = open_page("trainings")
    text, errors, commands = page(app)
    assert app.title[0].value == "Trainings"
    assert "one &nbsp; :blue-badge[:material/progress_activity: running]" in text
    assert "npairs_loss  ·  frozen efficientnet_lite0  ·  64 dimensions" in text
    for fact in ("NVIDIA H200 (138 GiB), mixed float16", "812 images/s", "9.0 GiB of the GPU's",
                 "loss 0.431", "last checkpoint: step 400, 4", "begun 5 min ago"):  # fmt: skip
        assert fact in text
    (bar,) = app.get("progress")
    assert bar.proto.value == 43
    wanted = "Training  ·  step 437 of 1,000  ·  about 4 min of training left"
    assert bar.proto.text.replace("\\", "") == wanted
    assert len(app.get("plotly_chart")) == 2
    assert (errors, commands) == ([], [])


STOPPED = {
    "stalled": live(updated=time.time() - 5000),
    "elsewhere": live(updated=time.time() - 5000, process=process_elsewhere()),
    "interrupted": live(process=process_gone()),
    "failed": live(state="failed", error="step 3: *lr* is [too] high", checkpoint=None, recent=()),
}


@pytest.mark.parametrize(
    ("name", "state", "resumed"),
    [
        ("stalled", "stalled", False),
        ("elsewhere", "stalled", True),
        ("interrupted", "interrupted", True),
        ("failed", "failed", True),
    ],
)
def test_one_that_stopped_says_so_and_how_to_go_on(root, name, state, resumed):
    path = root / "photos" / "one"
    write_training(path, STOPPED[name], saved=0 if name == "failed" else 400)
    app = open_page("trainings")
    text, errors, commands = page(app)
    assert f": {state}]" in text
    assert "left" not in app.get("progress")[0].proto.text
    assert commands == ([f"retrieval train --resume {path}"] if resumed else [])
    assert errors == (["step 3: *lr* is [too] high"] if name == "failed" else [])
    assert ("no checkpoint yet" in text) == (name == "failed")


def test_before_the_first_step_the_bar_is_that_of_the_task(root):
    said = live(stage="caching features", task="backbone features", done=30, total=120, step=0,
                loss=None, checkpoint=None, recent=())  # fmt: skip
    write_training(root / "photos" / "one", said, saved=0)
    bar = open_page("trainings").get("progress")[0].proto
    assert bar.value == 25
    assert bar.text.replace("\\", "").startswith("Caching features: backbone features, 30 of 120")


def test_waiting_runs_are_listed_with_the_command_that_was_to_make_them(root):
    states = {"photos/a*b": "waiting", "photos/two": "waiting"}
    write_queue(root, states, process=process_gone())
    text, _, commands = page(open_page("trainings"))
    assert "2 runs &nbsp;" in text
    assert "- photos / **a*b**" in text
    assert commands == ["retrieval sweep grid.yaml"]


@pytest.mark.parametrize("content", ["", "{", '{"process": 3}'])
def test_a_torn_file_does_not_break_the_page(root, content):
    folder = write_training(root / "photos" / "one", live())
    (folder / LIVE_FILE).write_text(content)
    assert ": running]" in page(open_page("trainings"))[0]


def test_without_runs_the_app_opens_with_the_training_that_goes_on(root):
    write_training(root / "photos" / "first", live())
    assert open_page().title[0].value == "Trainings"


def test_without_runs_and_trainings_it_says_how_to_begin_and_looks_again(root):
    app = open_page()
    assert app.title[0].value == "No runs yet"
    write_training(root / "photos" / "first", live())
    app.run()
    assert app.title[0].value == "Trainings"


@pytest.mark.usefixtures("among_runs")
def test_among_runs_nothing_is_looked_at_while_nothing_goes_on(monkeypatch):
    every = []
    fragment = watch.st.fragment
    monkeypatch.setattr(
        watch.st, "fragment", lambda f=None, *, run_every=None, **options: every.append(run_every)
        or fragment(f, run_every=run_every, **options),
    )  # fmt: skip
    app = open_page("trainings")
    assert "Nothing is being trained" in text_of(app)
    assert {each for each in every if each is not None} == set()
    assert app.get("page_link") == []


def test_the_sidebar_of_every_page_says_what_goes_on(among_runs):
    write_training(among_runs / "photos" / "one", live())
    for name in ("overview", "retrieval"):
        (link,) = open_page(name).get("page_link")
        assert link.proto.label == "Training: step 437 of 1,000"
    write_training(among_runs / "photos" / "two", live(stage="embedding"))
    assert open_page().get("page_link")[0].proto.label == "2 trainings in progress"


def test_a_run_that_is_finished_meanwhile_is_in_the_sidebar_and_the_choice_stays(among_runs):
    folder = write_training(among_runs / "photos" / "one", live())
    shutil.copytree(among_runs / "photos" / "done", among_runs / "photos" / "other")
    app = open_page("retrieval", a="other", item="7")
    shutil.rmtree(folder)
    shutil.copytree(among_runs / "photos" / "done", among_runs / "photos" / "one")
    app.run()
    options = [each.split(" · ")[0] for each in app.selectbox(key="a").options]
    assert sorted(options) == ["done", "one", "other"]
    assert app.selectbox(key="a").value == "other"
    assert app.query_params["item"] == "7"
    assert app.get("page_link") == []
