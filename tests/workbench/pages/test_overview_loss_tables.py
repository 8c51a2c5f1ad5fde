"""The cells of the table of losses."""

import numpy as np
import pandas as pd
import pytest

from tests.runs.helpers import made_by_recipe
from workbench.pages.overview import loss_tables

NAN = np.nan
LOSSES = pd.DataFrame(
    {
        "group": ["angular", "<b>lifted</b>", "hard"],
        "runs": [["a-s0", "a-s1"], ["lifted"], ["hard"]],
        "seeds": [[0, 1], [0], []],
        "n_queries": [1200, 1200, 1200],
        "recall@1": [0.75, 0.5, 0.25],
        "recall@1/low": [0.7, 0.4, 0.2],
        "recall@1/high": [0.8, 0.6, 0.3],
        "nmi": [0.5, 0.61251, NAN],
        "nmi/low": [0.45, NAN, NAN],
        "nmi/high": [0.55, NAN, NAN],
    }
)


@pytest.fixture
def shown(monkeypatch):
    """Draw losses; returns what the component and the caption are given."""

    def draw(table: pd.DataFrame) -> tuple[dict, str]:
        given: list = []
        monkeypatch.setattr(loss_tables, "sortable_table", lambda data, key: given.append(data))
        monkeypatch.setattr(loss_tables.st, "caption", given.append)
        colors = dict.fromkeys(table["group"], "#123456")
        loss_tables.metrics_table(table, colors)
        return tuple(given)

    return draw


def test_every_cell_has_its_figure_and_half_of_its_interval(shown):
    data, _ = shown(LOSSES)
    titles = [column["title"] for column in data["columns"]]
    assert titles == ["Loss", "R@1", "NMI", "Seeds", "Queries"]
    angular, lifted, hard = data["rows"]
    assert [cell["text"] for cell in angular] == ["angular", "75.0", "0.500", "0, 1", "1,200"]
    assert [cell.get("spread") for cell in angular] == [None, "5.0", "0.050", None, None]
    assert [cell["text"] for cell in lifted] == ["<b>lifted</b>", "50.0", "0.613", "0", "1,200"]
    assert "spread" not in lifted[2]
    assert [cell["text"] for cell in hard] == ["hard", "25.0", "–", "–", "1,200"]
    assert hard[2]["value"] is None
    assert angular[0]["color"] == "#123456"
    assert angular[0]["title"] == "angular\nruns a-s0, a-s1"


def test_the_highest_of_each_metric_is_bold_where_there_are_several_losses(shown):
    data, caption = shown(LOSSES)
    best = [[cell["text"] for cell in row if cell.get("best")] for row in data["rows"]]
    assert best == [["75.0"], ["0.613"], []]
    assert "Bold: the best" in caption
    alone, caption = shown(LOSSES[:1])
    assert not any(cell.get("best") for cell in alone["rows"][0])
    assert "Bold" not in caption


def test_the_caption_says_only_what_the_table_has(shown):
    _, caption = shown(LOSSES)
    assert caption.startswith("Scale: percent; NMI from 0 to 1. ± is half of the 95% interval")
    assert "NMI without ±" in caption
    few = LOSSES.assign(**{name: NAN for name in LOSSES if "/" in name})
    _, caption = shown(few)
    assert caption.startswith("Scale: percent; NMI from 0 to 1. No ±: there are no 95% intervals")
    assert "at least 10 classes" in caption
    assert "± is half" not in caption
    assert "NMI without ±" not in caption
    nothing = few.assign(**{"recall@1": NAN, "nmi": NAN})
    data, *caption = shown(nothing)
    assert caption == []
    assert [column["title"] for column in data["columns"]] == ["Loss", "Seeds", "Queries"]


def test_the_source_and_the_note_stand_below_the_published_figures(monkeypatch, make_run):
    tables, captions = [], []
    monkeypatch.setattr(loss_tables.st, "markdown", lambda text: None)
    monkeypatch.setattr(loss_tables.st, "dataframe", lambda table, **_: tables.append(table))
    monkeypatch.setattr(loss_tables.st, "caption", captions.append)
    run = made_by_recipe(make_run("one"), "cub200/resnet50_proxy_anchor")
    loss_tables.published_figures([run], "leave_one_out")
    assert list(tables[0]["Published"]) == ["69.9", "79.6", "86.6", "91.4"]
    assert "tjddus9597/Proxy-Anchor-CVPR2020" in captions[0]
    assert "best epoch" in captions[0]
