"""The export menu of each page exports what the page shows."""

import pandas as pd
import plotly.graph_objects as go
import pytest

from tests.workbench.driver import open_page
from workbench.pages.compare import page as compare
from workbench.pages.embedding_map import page as embedding_map
from workbench.pages.methods import page as methods
from workbench.pages.overview import page as overview

PAIR = {"a": "semi_hard_triplet-s0", "b": "lifted_loss-s0"}


@pytest.fixture
def menu(runs_root, monkeypatch) -> dict:
    """The latest export menu: its tables and figures by title."""
    given: dict = {}
    monkeypatch.setenv("RETRIEVAL_RUNS", str(runs_root))
    for page in (compare, embedding_map, methods, overview):
        monkeypatch.setattr(page, "export_menu", lambda **parts: given.update(parts))
    return given


def test_the_map_is_exported_as_it_is_shown(menu):
    app = open_page("map", layout="PCA 3-D", color="Class")
    figure = menu["figures"]["Map as shown"]()
    assert figure.data[0].type == "scatter3d"
    assert "flower 0-0" in [trace.name for trace in figure.data]
    app.segmented_control(key="layout").set_value("PCA").run()
    assert menu["figures"]["Map as shown"]().data[0].type == "scattergl"


@pytest.mark.parametrize(
    ("page", "figures", "tables"),
    [
        (
            "overview",
            {"Recall at K", "Recall at 1", "Differences", "Training loss", "R@1 during training"},
            {"Losses", "Runs", "Comparisons with the best", "Paired tests"},
        ),
        (
            "compare",
            {"Win, tie, loss", "Class differences", "Neighbor overlap"},
            {"Every query", "Classes", "Paired tests"},
        ),
        ("methods", {"Class sizes"}, {"Results of every run", "Class sizes", "Items"}),
    ],
)
def test_every_figure_and_table_of_a_page_can_be_exported(menu, page, figures, tables):
    open_page(page, **PAIR)
    assert set(menu["figures"]) == figures
    assert set(menu["tables"]) == tables
    assert all(isinstance(make(), go.Figure) for make in menu["figures"].values())
    assert all(len(make()) for make in menu["tables"].values())


def test_paired_tests_name_the_runs_and_every_pair_of_losses(menu):
    open_page("compare", **PAIR)
    (pair,) = menu["tables"]["Paired tests"]().to_dict("records")
    assert {pair["a"], pair["b"]} == set(PAIR.values())
    assert pair["low"] <= pair["difference"] <= pair["high"]
    open_page("overview")
    pairs: pd.DataFrame = menu["tables"]["Paired tests"]()
    assert len(pairs) == 3  # of three losses
    assert {"p", "p_adjusted", "p_mcnemar", "wins", "ties", "losses"} <= set(pairs)
