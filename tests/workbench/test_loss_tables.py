"""The table of losses: what its cells say, and how a browser sorts it."""

import numpy as np
import pandas as pd
import pytest

from workbench.components import HERE
from workbench.pages import loss_tables

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
        colours = dict.fromkeys(table["group"], "#123456")
        loss_tables.metrics_table(table, colours)
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
    assert angular[0]["colour"] == "#123456"
    assert angular[0]["title"] == "angular\nruns a-s0, a-s1"


def test_the_highest_of_each_metric_is_bold_where_there_are_several_losses(shown):
    data, caption = shown(LOSSES)
    best = [[cell["text"] for cell in row if cell.get("best")] for row in data["rows"]]
    assert best == [["75.0"], ["0.613"], []]
    assert "Bold: the highest" in caption
    alone, caption = shown(LOSSES[:1])
    assert not any(cell.get("best") for cell in alone["rows"][0])
    assert "Bold" not in caption


def draw_in_browser(page, data: dict) -> None:
    script, style = ((HERE / f"table.{kind}").read_text(encoding="utf-8") for kind in ("js", "css"))
    page.set_content(
        f"<style>{style} #place {{ width: 600px }}</style>"
        '<div id="place"><div class="table"></div></div>'
    )
    page.add_script_tag(content=script.replace("export default function", "window.draw = function"))
    page.evaluate(
        "data => window.draw({ data, parentElement: document.querySelector('#place') })", data
    )


def order(page) -> list[str]:
    return page.locator("tbody th").all_inner_texts()


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
def test_a_click_on_a_head_sorts_highest_first_then_lowest_then_as_it_was(page, shown):
    data, _ = shown(LOSSES)
    draw_in_browser(page, data)
    as_given = ["angular", "<b>lifted</b>", "hard"]  # and names are text, never markup
    assert order(page) == as_given
    head = page.locator("thead th").nth(2)
    for direction, expected in (
        ("descending", ["<b>lifted</b>", "angular", "hard"]),
        ("ascending", ["angular", "<b>lifted</b>", "hard"]),  # what is unknown stays last
        (None, as_given),
    ):
        head.get_by_role("button").click()
        assert order(page) == expected
        assert head.get_attribute("aria-sort") == direction
    page.get_by_role("button", name="Loss").click()
    assert order(page) == ["<b>lifted</b>", "angular", "hard"]


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
def test_the_order_holds_when_other_figures_come(page, shown):
    data, _ = shown(LOSSES)
    draw_in_browser(page, data)
    page.get_by_role("button", name="R@1").click()
    page.get_by_role("button", name="R@1").click()
    other, _ = shown(LOSSES.assign(**{"recall@1": [0.1, 0.3, 0.2]}))
    page.evaluate(
        "data => window.draw({ data, parentElement: document.querySelector('#place') })", other
    )
    assert order(page) == ["angular", "hard", "<b>lifted</b>"]


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
def test_the_keyboard_sorts_on_and_on(page, shown):
    data, _ = shown(LOSSES)
    draw_in_browser(page, data)
    page.get_by_role("button", name="NMI").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    assert order(page) == ["angular", "<b>lifted</b>", "hard"]
    assert page.evaluate("document.activeElement.textContent") == "NMI ↑"


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
def test_a_long_name_leaves_the_figures_in_sight_and_is_whole_on_hover(page, shown):
    long = "x" * 300
    data, _ = shown(LOSSES.assign(group=["angular", "lifted", long], runs=[["a"], ["l"], [long]]))
    draw_in_browser(page, data)
    name = page.locator("tbody th").nth(2)
    assert name.bounding_box()["width"] < 0.5 * 600
    assert name.get_attribute("title") == f"{long}\nrun {long}"
    figure = page.locator("tbody tr").nth(2).locator("td").first.bounding_box()
    assert figure["x"] + figure["width"] < 600
