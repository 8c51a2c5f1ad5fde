"""Every page, run without a browser."""

from pathlib import Path

import numpy as np
import pytest

from retrieval.runs.run import Run
from tests.workbench.driver import loss_tables, open_page, text_of
from tools.screenshots import VIEWS
from workbench.pages import PAGES
from workbench.session.parameters import METHODS, TAB


@pytest.mark.parametrize("page", PAGES)
def test_every_page_says_what_its_numbers_are_about(page):
    app = open_page(page)
    assert app.title[0].value == PAGES[page].title
    context = app.caption[0].value
    for fact in ("photos", "test split", "cross", "72 queries", "144 gallery items", "36 classes"):
        assert fact in context


ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.usefixtures("served")


@pytest.mark.parametrize("page", PAGES)
def test_the_tour_shows_every_page(page):
    tour = (ROOT / "docs" / "app.md").read_text(encoding="utf-8")
    assert PAGES[page].title in tour
    assert f"](screenshots/{page}.png)" in tour
    assert page in VIEWS  # `make screenshots` takes the picture


def test_overview_ranks_losses_and_aggregates_seeds(runs_root):
    app = open_page()
    table = loss_tables(app)[0]
    assert table["Loss"].tolist()[0] == "semi_hard_triplet"
    assert len(table) == 3
    assert table.set_index("Loss").loc["contrastive_loss", "Seeds"] == "0, 1"
    best = Run(runs_root / "photos" / "semi_hard_triplet-s0").result().metric("recall@1")
    assert app.metric[1].value == f"{100 * best.value:.1f}%"


def test_protocols_are_never_mixed():
    cross, leave = open_page(), open_page(protocol="leave_one_out")
    assert "216 queries, each against all others" in leave.caption[0].value
    assert cross.metric[1].value != leave.metric[1].value


def test_retrieval_opens_on_a_failure():
    app = open_page("retrieval")
    assert "✗ Wrong." in text_of(app)
    assert app.query_params["item"]


def test_next_previous_and_back():
    app = open_page("retrieval", item="0")
    app.button[[b.label for b in app.button].index("Next")].click().run()
    assert app.query_params["item"] == "1"
    app.button[[b.label for b in app.button].index("Next")].click().run()
    assert app.query_params["item"] == "6"  # the next query; 2 to 5 are gallery items
    app.button[[b.label for b in app.button].index("Previous")].click().run()
    assert app.query_params["item"] == "1"
    app.button[[b.label for b in app.button].index("Back")].click().run()
    assert app.query_params["item"] == "6"


def test_search_and_filter_shorten_the_list():
    app = open_page("retrieval", search="flower 0-0")
    assert "matching “flower 0\\-0”" in text_of(app)
    assert "2 queries" in text_of(app)
    app.text_input(key="search").set_value("nothing like it").run()
    assert "There are no queries matching" in text_of(app)
    assert not app.exception


def test_a_gallery_item_is_a_query_that_is_not_scored():
    assert "not a scored query" in text_of(open_page("retrieval", item="3"))


@pytest.mark.parametrize("item", ["-1", "99999", "x", "", "²"])
def test_an_unknown_item_falls_back_to_a_failure(item):
    assert "✗ Wrong." in text_of(open_page("retrieval", item=item))


def test_parameters_that_are_not_valid_are_replaced():
    app = open_page("overview", data="other", a="../..", b="gone", k="7", protocol="none")
    assert app.query_params["data"] == "photos"
    assert app.query_params["a"] == "semi_hard_triplet-s0"
    assert app.selectbox(key="b").value == "contrastive_loss-s0"


def test_a_link_shows_the_same_view():
    app = open_page("retrieval", a="lifted_loss-s0", k="5", protocol="leave_one_out", item="7")
    assert app.selectbox(key="a").value == "lifted_loss-s0"
    wanted = {"a": "lifted_loss-s0", "k": "5", "protocol": "leave_one_out", "item": "7"}
    assert {key: app.query_params[key] for key in wanted} == wanted


@pytest.mark.parametrize(
    "tab",
    [
        "Queries",
        "Confused classes",
        "Worst classes",
        "Hubs and anti-hubs",
        "Near-duplicates",
        "Suspected label errors",
        "Notes",
    ],
)
@pytest.mark.parametrize("run", ["semi_hard_triplet-s0", "lifted_loss-s0"])
def test_every_tab_of_failures_draws(tab, run):
    app = open_page("failures", tab=tab, a=run)
    assert app.session_state[TAB.key] == tab


def test_failures_counts_what_is_wrong(runs_root):
    neighbors = Run(runs_root / "photos" / "lifted_loss-s0").neighbors()
    wrong = int((neighbors.first_relevant_rank != 1).sum())
    assert f"**{wrong} of 72** queries" in text_of(open_page("failures", a="lifted_loss-s0"))


def test_a_bar_of_the_histogram_opens_its_queries(runs_root):
    neighbors = Run(runs_root / "photos" / "lifted_loss-s0").neighbors()
    app = open_page("failures", a="lifted_loss-s0", rank="3")
    count = int(((neighbors.first_relevant_rank >= 3) & (neighbors.first_relevant_rank <= 4)).sum())
    assert f"{count} queries whose first relevant item is at rank 3 to 4" in text_of(app)


@pytest.mark.parametrize("layout", ["UMAP", "PCA", "PCA 3-D"])
def test_the_map_draws_every_projection(layout):
    assert "All 216 items." in text_of(open_page("map", layout=layout))


def test_a_slider_goes_through_the_steps_of_training(make_run, monkeypatch):
    run = make_run("one")
    assert not open_page("map").select_slider
    points = np.zeros((2, len(run.items), 2), np.float32)
    points[1] = run.projection[["umap_x", "umap_y"]]
    np.savez(run.path / "evolution.npz", steps=np.array([100, 200]), points=points)
    monkeypatch.setenv("RETRIEVAL_RUNS", str(run.path.parents[1]))
    app = open_page("map")
    assert app.select_slider[0].options == ["step 100", "step 200", "finished"]
    assert "those of the finished run" not in text_of(app)
    app.select_slider[0].set_value("step 100").run()
    assert not app.exception
    assert "Colors, results and similarities are those of the finished run" in text_of(app)
    assert app.query_params["step"] == "step 100"


@pytest.mark.parametrize(
    "color",
    ["Class", "Superclass", "Rank of the first relevant item", "Hubness", "Split and role",
     "Neighborhood preservation"],
)  # fmt: skip
def test_the_map_colors_by(color):
    app = open_page("map", color=color)
    assert app.selectbox(key="color").value == color


def test_a_run_without_a_map_says_how_to_make_one(make_run, monkeypatch):
    run = make_run("one", projection=False)
    monkeypatch.setenv("RETRIEVAL_RUNS", str(run.path.parents[1]))
    app = open_page("map")
    assert "does not compute maps" in text_of(app)
    assert app.code[0].value == f"retrieval evaluate {run.path}"


@pytest.mark.parametrize(
    "tab", ["A right, B wrong", "B right, A wrong", "Classes", "Neighbor overlap", "Two maps"]
)
def test_every_tab_of_the_comparison_draws(tab):
    app = open_page("compare", compared=tab, b="lifted_loss-s0")
    assert "R@1 differs by" in text_of(app)


def test_a_run_is_not_compared_with_itself_or_with_other_items(make_run, photos, monkeypatch):
    make_run("one")
    other = make_run("two", items=photos.iloc[:-6])
    monkeypatch.setenv("RETRIEVAL_RUNS", str(other.path.parents[1]))
    assert "cannot be compared" in "".join(
        w.value for w in open_page("compare", a="one", b="two").warning
    )
    assert "Choose another run" in text_of(open_page("compare", a="one", b="one"))
    assert "Choose another run" in text_of(open_page("compare", a="one", b="none"))


@pytest.mark.parametrize("tab", ["Protocol", "Metrics", "Runs", "Data"])
def test_every_tab_of_methods_draws(tab):
    app = open_page("methods", methods=tab)
    assert app.session_state[METHODS.key] == tab


def test_methods_name_the_device_of_every_run():
    tables = [element.value for element in open_page("methods", methods="Runs").dataframe]
    (devices,) = [table["Device"] for table in tables if "Device" in table]
    assert set(devices) == {"NVIDIA H200 (138 GiB), float32"}


def test_a_note_is_saved_and_listed(make_run, monkeypatch):
    run = make_run("one")
    monkeypatch.setenv("RETRIEVAL_RUNS", str(run.path.parents[1]))
    app = open_page("retrieval", item="5")
    app.text_area[0].set_value("odd light")
    save = [b.label for b in app.button].index("Save")
    app.button[save].click().run()
    assert not app.exception
    assert "odd light" in (run.path / "notes.csv").read_text()
    listed = open_page("failures", tab="Notes")
    assert not listed.exception
