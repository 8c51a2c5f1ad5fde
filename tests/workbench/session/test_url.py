"""What the URL holds, and what happens when it changes from outside."""

import pytest
from streamlit.testing.v1 import AppTest

from tests.workbench.driver import go, open_page, parameters_of, press, text_of, trail_of

pytestmark = pytest.mark.usefixtures("served")


def test_a_parameter_that_the_browsers_back_drops_returns_to_its_default():
    app = open_page("retrieval", item="0", a="lifted_loss-s0")
    before = parameters_of(app)
    app.segmented_control(key="k").set_value(20).run()
    assert app.query_params["k"] == "20"
    go(app, before)
    assert app.session_state["k"] == 10
    assert parameters_of(app) == before


def test_the_apps_back_follows_the_browsers_back_and_forward():
    app = open_page("retrieval", item="0")
    first = parameters_of(app)
    press(app, "Next")
    press(app, "Next")
    assert trail_of(app) == [0, 1]
    go(app, first | {"item": "1"})
    assert trail_of(app) == [0]
    go(app, first | {"item": "6"})
    assert trail_of(app) == [0, 1]
    press(app, "Back")
    assert app.session_state["item"] == 1


def test_clicks_before_the_browser_has_the_new_url_are_not_lost():
    short = {"a": "lifted_loss-s0"}
    app = open_page("failures", **short)
    whole = parameters_of(app)
    for page in (2, 3):  # the browser is one address behind, then two
        app.query_params.clear()
        app.query_params.update(short)
        press(app, "Next page")
        assert app.pagination[0].value == page
        assert parameters_of(app) == whole | {"page": str(page)}
    go(app, whole)
    assert app.pagination[0].value == 1


def test_a_link_holds_the_bar_the_order_and_the_page_of_failures():
    shown = {"a": "lifted_loss-s0", "protocol": "leave_one_out", "rank": "2", "page": "2"}
    app = open_page("failures", **shown, order="Near miss")
    assert "queries whose first relevant item is at rank 2." in text_of(app)
    assert app.pagination[0].value == 2
    link = parameters_of(app)
    assert link | shown == link
    press(app, "All failures")
    assert {"rank", "page"} & set(app.query_params) == set()
    assert app.pagination[0].value == 1
    go(app, link)
    assert app.pagination[0].value == 2
    assert parameters_of(app) == link


@pytest.mark.parametrize("wrong", [{"rank": "7"}, {"rank": "x"}, {"page": "999"}, {"page": "0"}])
def test_an_unknown_bar_or_page_is_dropped_from_the_url(wrong):
    app = open_page("failures", a="lifted_loss-s0", **wrong)
    assert app.pagination[0].value == 1
    assert not set(wrong) & set(app.query_params)


def test_the_bar_of_queries_without_a_relevant_item_opens_them_too(make_run, photos, monkeypatch):
    lone = photos["label"] == 0  # its gallery items become queries
    items = photos.assign(role=photos["role"].where(~lone, "query"))
    run = make_run("one", items=items)
    monkeypatch.setenv("RETRIEVAL_RUNS", str(run.path.parents[1]))
    app = open_page("failures", rank="0")
    assert "6 queries without a relevant item." in text_of(app)
    assert app.query_params["rank"] == "0"


def test_another_list_begins_on_its_first_page():
    app = open_page("failures", a="lifted_loss-s0", page="2")
    app.segmented_control(key="order").set_value("Worst rank").run()
    assert app.pagination[0].value == 1


def test_a_link_holds_the_run_whose_settings_are_shown_until_run_a_changes():
    app = open_page("methods", methods="Runs", a="lifted_loss-s0", settings="contrastive_loss-s1")
    assert app.selectbox(key="settings").value == "contrastive_loss-s1"
    link = parameters_of(app)
    app.selectbox(key="a").set_value("contrastive_loss-s0").run()
    assert app.selectbox(key="settings").value == "contrastive_loss-s0"
    assert "settings" not in app.query_params
    go(app, link)
    assert app.selectbox(key="settings").value == "contrastive_loss-s1"
    assert "loss: contrastive_loss" in app.code[0].value


def test_a_fragment_that_is_drawn_again_asks_for_nothing_anew():
    def script():
        from workbench.session import url
        from workbench.session.parameters import COLOR

        url.start("map")
        COLOR.keep("class", ["class", "density"])
        url.write()
        COLOR.keep("class", ["class"])  # the fragment: its choices have changed meanwhile
        url.write()
        assert url.unmet() == []

    app = AppTest.from_function(script)
    app.query_params["color"] = "density"
    assert not app.run().exception
