"""Which pair of images is explained: a result of the query, whatever was looked at before."""

import pytest

from retrieval.runs import Run
from tests.workbench.test_pages import open_page
from workbench.lookup import answer
from workbench.pages import why
from workbench.state import go_to


@pytest.fixture
def run(runs_root, monkeypatch) -> Run:
    monkeypatch.setenv("RETRIEVAL_RUNS", str(runs_root))
    return Run(runs_root / "photos" / "lifted_loss-s0")


@pytest.fixture
def drawn(monkeypatch) -> dict:
    """What the galleries of the page hold: key -> description."""
    galleries = {}
    monkeypatch.setattr(why, "image_cards", lambda data, *, key, **_: galleries.update({key: data}))
    return galleries


def results(drawn: dict) -> list[dict]:
    return [card for card in drawn["why_results"]["groups"][0]["rows"][0]["cards"] if card]


def chosen(drawn: dict) -> list[int]:
    return [card["row"] for card in results(drawn) if card["kind"] == "chosen"]


def nearest(run: Run, row: int) -> int:
    return int(answer(run, "query_gallery", row, 5).ids[0])


def press(app, label: str) -> None:
    app.button[[b.label for b in app.button].index(label)].click().run()
    assert not app.exception


def test_a_link_explains_the_result_it_names(run, drawn):
    other = int(answer(run, "query_gallery", 0, 5).ids[2])
    app = open_page("why", a=run.name, item="0", match=str(other))
    assert chosen(drawn) == [other]
    assert app.query_params["match"] == str(other)


@pytest.mark.parametrize("match", ["0", "-1", "99999", "x"])
def test_a_query_is_never_explained_against_itself_or_nothing(run, drawn, match):
    open_page("why", a=run.name, item="0", match=match)
    assert chosen(drawn) == [nearest(run, 0)]


def test_the_first_correct_item_is_offered_however_far_down_it_is(run, drawn):
    neighbours = run.neighbours()
    at = int(neighbours.first_hit.argmax())
    assert neighbours.first_hit[at] > 5
    row, right = int(neighbours.queries[at]), int(neighbours.first_hit_item[at])
    open_page("why", a=run.name, k="5", item=str(row))
    last = results(drawn)[-1]
    assert (last["row"], last["mark"]) == (right, "hit")
    open_page("why", a=run.name, k="5", item=str(row), match=str(right))
    assert chosen(drawn) == [right]


def test_another_query_is_explained_against_its_own_nearest(run, drawn):
    old = int(answer(run, "query_gallery", 0, 5).ids[2])
    app = open_page("retrieval", a=run.name, item="0", match=str(old))
    press(app, "Next")
    press(app, "Why did this match?")
    assert app.title[0].value == "Why did this match?"
    assert app.query_params["item"] == "1"
    assert chosen(drawn) == [nearest(run, 1)]


def test_walking_on_explains_each_query_against_its_own_nearest(run, drawn):
    other = int(answer(run, "query_gallery", 0, 5).ids[2])
    app = open_page("why", a=run.name, item="0", match=str(other))
    press(app, "Next")
    assert app.query_params["item"] == "1"
    assert chosen(drawn) == [nearest(run, 1)]
    assert app.query_params.get("match") is None
    press(app, "Previous")
    assert app.query_params["item"] == "0"
    assert chosen(drawn) == [nearest(run, 0)]


def test_the_list_of_the_retrieval_page_is_walked(run, drawn):
    app = open_page("retrieval", a=run.name, item="108", search="flower 0-0")
    press(app, "Why did this match?")
    press(app, "Next")
    assert app.query_params["item"] == "109"
    press(app, "Next")
    assert app.query_params["item"] == "108"


def test_going_to_an_item_forgets_the_match_and_staying_keeps_it(monkeypatch):
    state = {"item": 3, "match": 7}
    monkeypatch.setattr("workbench.state.st.session_state", state)
    go_to(3)
    assert state["match"] == 7
    go_to(4)
    assert state == {"item": 4, "match": None, "trail": [3]}
