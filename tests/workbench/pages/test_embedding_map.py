"""The pages with maps show the items of the points that are clicked or lassoed."""

import numpy as np
import pytest
import streamlit

from retrieval.runs.run import Run
from tests.workbench.driver import open_page, text_of
from workbench.data.images import hover_card
from workbench.data.lookup import answer
from workbench.pages.compare import maps as compare_maps
from workbench.pages.embedding_map import page as embedding_map
from workbench.session.parameters import ITEM

PROTOCOL = "query_gallery"
B = "lifted_loss-s0"
MAPS = ("map", "map_a", "map_b")

pytestmark = pytest.mark.usefixtures("served")


@pytest.fixture
def drawn(monkeypatch) -> dict:
    """What the components were last given: key -> description."""
    given: dict = {}

    def cards(data: dict, *, key: str, **_) -> None:
        given[key] = data

    def points(charts, urls, *, key: str, **parts) -> None:
        given[key] = {"charts": list(charts), "urls": list(urls)} | parts

    draw = streamlit.plotly_chart

    def chart(figure, *, key: str, **options):
        if key not in MAPS:
            return draw(figure, key=key, **options)
        # Streamlit's test has no gesture: a button tells of the selection as the browser would.
        return streamlit.button(key, key=f"lassoed {key}", on_click=options["on_select"])

    monkeypatch.setattr(streamlit, "plotly_chart", chart)
    for page in (embedding_map, compare_maps):
        monkeypatch.setattr(page, "clickable_cards", cards)
        monkeypatch.setattr(page, "clickable_points", points)
    return given


@pytest.fixture
def runs(runs_root) -> tuple[Run, Run]:
    return tuple(Run(runs_root / "photos" / name) for name in ("semi_hard_triplet-s0", B))


def ranks_of(run: Run) -> np.ndarray:
    ranks, neighbors = np.full(len(run.items), -1), run.neighbors(PROTOCOL)
    ranks[neighbors.queries] = neighbors.first_relevant_rank
    return ranks


def lasso(app, key: str, indices: list[int]) -> None:
    app.session_state[key] = {"selection": {"points": [], "point_indices": indices}}
    app.button(key=f"lassoed {key}").click().run()
    assert not app.exception


def shown_rows(data: dict) -> list[int]:
    return [card["row"] for card in data["rows"][0]["cards"]]


def test_a_lasso_shows_the_items_of_its_points_however_they_are_ordered(drawn, runs):
    app = open_page("map", a=B)
    ranks = ranks_of(runs[1])
    # By hand: first what is not scored, then right, then wrong; each by row.
    layers = [np.flatnonzero(ranks < 1), np.flatnonzero(ranks == 1), np.flatnonzero(ranks > 1)]
    expected = np.concatenate(layers)
    assert min(map(len, layers)) > 3
    picked = [0, 5, 140, 150, 214, 215]
    lasso(app, "map", picked)
    assert sorted(shown_rows(drawn["lasso"])) == sorted(expected[picked].tolist())
    counts = runs[1].items["label_name"].iloc[expected[picked]].value_counts()
    assert f"**6 items of {len(counts)} classes**" in text_of(app)
    shown = app.dataframe[0].value
    assert dict(zip(shown["Class"], shown["Items"], strict=True)) == counts.to_dict()
    lasso(app, "map", [215])
    assert ranks[shown_rows(drawn["lasso"])[0]] > 1


def test_a_lasso_selects_the_points_as_they_are_drawn_now(drawn, runs):
    app = open_page("map", color="Rank of the first relevant item", a=B)
    ranks = ranks_of(runs[1])
    lasso(app, "map", [215])
    assert ranks[shown_rows(drawn["lasso"])[0]] == ranks.max()


def test_a_lasso_outlives_another_color_and_is_ringed(drawn, runs):
    app = open_page("map", a=B)
    lasso(app, "map", [5, 150, 215])
    rows = sorted(shown_rows(drawn["lasso"]))
    for color in ("Rank of the first relevant item", "Class"):
        drawn.clear()
        app.session_state["map"] = {"selection": {"points": [], "point_indices": []}}
        app.selectbox(key="color").set_value(color).run()  # Streamlit forgets it without a word
        assert not app.exception
        assert sorted(shown_rows(drawn["lasso"])) == rows
        assert drawn["map_points"]["found"].tolist() == rows


@pytest.mark.parametrize("end", ["empty", "click", "button", "run"])
def test_a_lasso_ends_when_the_view_it_was_made_in_changes(drawn, runs, end):
    app = open_page("map", a=B)
    lasso(app, "map", [5, 150])
    on_click = drawn["map_points"]["on_click"]
    drawn.clear()
    if end == "empty":
        lasso(app, "map", [])
    elif end == "button":
        app.button(key="lasso_clear").click().run()
    elif end == "click":
        assert on_click is embedding_map._click
        app.session_state[ITEM.key] = 30
        app.run()
        assert "neighbors" in drawn
    else:
        app.selectbox(key="a").set_value(runs[0].name).run()
    assert not app.exception
    assert "lasso" not in drawn
    assert len(drawn["map_points"]["found"]) == 0


def test_a_large_lasso_shows_items_of_each_class_in_turn(drawn, runs):
    app = open_page("map")
    lasso(app, "map", list(range(216)))
    labels = runs[0].items["label"].to_numpy()
    shown = shown_rows(drawn["lasso"])
    assert len(shown) == 60
    assert set(labels[shown]) == set(range(36))
    assert "60 of 216 are shown, taken from each class in turn." in text_of(app)


def test_two_maps_show_the_item_and_its_neighbors_under_both_runs(drawn, runs):
    open_page("compare", compared="Two maps", b=B, item="30")
    (group,) = drawn["both_neighbors"]["groups"]
    assert group["lead"]["row"] == 30
    assert group["lead"]["label"] == runs[0].items["label_name"].iloc[30]
    for line, run, name in zip(group["rows"], runs, "AB", strict=True):
        found = answer(run, PROTOCOL, 30, 10)
        assert line["title"] == f"{name} {run.name}"
        assert [card["row"] for card in line["cards"]] == found.ids.tolist()
    near = [list(rows) for rows in drawn["maps_points"]["neighbors"]]
    assert near == [[card["row"] for card in line["cards"]] for line in group["rows"]]
    assert near[0] != near[1]


def test_a_click_ends_what_was_lassoed_on_two_maps(drawn):
    app = open_page("compare", compared="Two maps", b=B)
    lasso(app, "map_b", [0, 1])
    assert "linked" in drawn
    assert drawn["maps_points"]["on_click"] is compare_maps._click
    drawn.clear()
    app.session_state[ITEM.key] = 30
    app.run()
    assert "linked" not in drawn
    assert drawn["both_neighbors"]["groups"][0]["lead"]["row"] == 30


def test_the_last_lasso_on_either_map_holds_and_outlives_another_color(drawn):
    app = open_page("compare", compared="Two maps", b=B)
    lasso(app, "map_b", [3, 4, 5])
    first = sorted(shown_rows(drawn["linked"]))
    lasso(app, "map_a", [9])
    last = shown_rows(drawn["linked"])
    assert len(last) == 1
    assert len(first) == 3
    for key in MAPS[1:]:
        app.session_state[key] = {"selection": {"points": [], "point_indices": []}}
    drawn.clear()
    app.segmented_control(key="colors").set_value("Neighbor overlap").run()
    assert shown_rows(drawn["linked"]) == last
    assert drawn["maps_points"]["found"].tolist() == last


def test_a_lasso_on_two_maps_can_be_cleared_when_the_chart_has_forgotten_it(drawn):
    app = open_page("compare", compared="Two maps", b=B)
    lasso(app, "map_a", [9])
    app.segmented_control(key="colors").set_value("Neighbor overlap").run()
    drawn.clear()
    app.button(key="linked_clear").click().run()
    assert "linked" not in drawn
    assert len(drawn["maps_points"]["found"]) == 0


def test_both_maps_draw_the_same_item_at_the_same_number(drawn, runs):
    app = open_page("compare", compared="Two maps", b=B)
    picked = [3, 100, 215]
    found = []
    for key in ("map_a", "map_b"):
        lasso(app, key, picked)
        found.append(shown_rows(drawn["linked"]))
    a, b = (ranks_of(run) for run in runs)
    layers = [a < 1, (a == 1) & (b == 1), (a > 1) & (b > 1), (a == 1) & (b > 1), (a > 1) & (b == 1)]
    expected = np.concatenate([np.flatnonzero(layer) for layer in layers])[picked]
    assert sorted(found[0]) == sorted(found[1]) == sorted(expected.tolist())


def test_each_map_shows_the_results_of_its_own_run(drawn, runs):
    open_page("compare", compared="Two maps", b=B)
    urls = drawn["maps_points"]["urls"]
    assert [run.name in url for run, url in zip(runs, urls, strict=True)] == [True, True]
    ranks = [ranks_of(run) for run in runs]
    row = int(np.flatnonzero((ranks[0] == 1) & (ranks[1] > 1))[0])
    marks = [hover_card(run, PROTOCOL, row)["mark"] for run in runs]
    assert marks == ["hit", "miss"]


def test_neighborhood_preservation_is_that_of_the_projection_shown(monkeypatch):
    asked = []
    real = embedding_map.projections.neighborhood_preservation
    monkeypatch.setattr(
        embedding_map.projections,
        "neighborhood_preservation",
        lambda *given: asked.append(given[2]) or real(*given),
    )
    app = open_page("map", color="Neighborhood preservation")
    app.segmented_control(key="layout").set_value("PCA").run()
    assert asked == ["UMAP", "PCA"]
