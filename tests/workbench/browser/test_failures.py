"""The Failures page in a real browser: clicks on bars, rows and cells; narrow windows."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.workbench.browser.driver import expect_parameter, loaded, visit

pytestmark = pytest.mark.browser


def test_a_bar_of_the_histogram_shows_its_queries_even_after_a_reload(page, server):
    visit(page, f"{server}/failures?a=lifted_loss-s0")
    shown = page.get_by_text("whose first relevant item is at rank 2")

    def click_bar() -> None:
        bars = page.locator(".st-key-ranks .point path")
        expect(bars.first).to_be_visible(timeout=15_000)
        box = bars.nth(1).bounding_box()
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] - 2)

    click_bar()
    expect(shown).to_be_visible()
    expect_parameter(page, "rank", "2")
    page.get_by_role("tab", name="Worst classes").click()
    expect_parameter(page, "tab", "Worst+classes")
    page.go_back()
    expect_parameter(page, "rank", "2")
    page.reload()
    expect(shown).to_be_visible()
    click_bar()
    expect(shown).to_have_count(0)


def click_square(page: Page, at: int) -> None:
    square = page.locator(".st-key-confusion .point").nth(at)
    expect(square).to_be_visible(timeout=15_000)
    box = square.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


def test_a_cell_of_the_confusion_map_shows_both_classes(page, server):
    visit(page, f"{server}/failures?a=lifted_loss-s0&tab=Confused+classes")
    titles = page.locator(".st-key-pair_images .title")
    expect(titles).to_have_count(2)
    before = titles.all_inner_texts()
    click_square(page, 3)
    expect(titles).not_to_have_text(before)
    assert loaded(page, ".st-key-pair_images")


def click_row(page: Page, row: int, x: int) -> None:
    table = page.get_by_test_id("stDataFrame")
    table.click(position={"x": x, "y": 35 * row + 15})  # the first row is the header


def test_a_row_opens_wherever_it_is_clicked(page, server):
    visit(page, f"{server}/failures?a=lifted_loss-s0&tab=Worst+classes")
    expect(page.locator(".st-key-class_failures .card.query").first).to_be_visible()
    opened = set()
    for row, x in ((4, 120), (6, 18), (4, 120), (3, 18), (7, 120), (5, 120)):
        before = page.url
        click_row(page, row, x)
        expect(page).not_to_have_url(before)
        opened.add((row, re.search("class=([0-9]+)", page.url)[1]))
    assert len({label for _, label in opened}) == len(opened) == 5


def test_the_url_holds_a_clicked_row_or_cell_and_going_back_takes_one_press(page, server):
    visit(page, f"{server}/failures?a=lifted_loss-s0&tab=Confused+classes")
    titles = page.locator(".st-key-pair_images .title")
    expect(titles).to_have_count(2)
    expect_parameter(page, "b", "semi_hard_triplet-s0")
    first = titles.all_inner_texts()
    click_row(page, 4, 120)
    expect(page).to_have_url(re.compile("[?&]pair="))
    expect(titles.first).not_to_have_text(first[0])
    row, link = titles.all_inner_texts(), page.url
    page.reload()
    expect(titles).to_have_text(row)
    for _ in range(2):  # the second click on the square opens it too
        click_square(page, 11)
        expect(page).not_to_have_url(link)
        expect(titles.first).not_to_have_text(row[0])
        page.go_back()
        expect(page).to_have_url(link)
        expect(titles).to_have_text(row)
    page.go_back()
    expect(titles).to_have_text(first)


@pytest.mark.parametrize("width", [1024, 1440])
def test_controls_beside_a_text_are_whole_and_on_one_line(page, server, width):
    page.set_viewport_size({"width": width, "height": 900})
    visit(page, f"{server}/failures?a=lifted_loss-s0&tab=Confused+classes")
    edge = page.locator(".st-key-beside").bounding_box()
    for key in ("export", "marking"):
        box = page.locator(f".st-key-{key}").bounding_box()
        assert box["height"] < 60  # of two lines at most, one of them padding
        assert box["x"] + box["width"] <= edge["x"] + edge["width"] + 4
        for text in page.locator(f".st-key-{key} p").all():
            assert text.evaluate("p => p.scrollWidth <= p.clientWidth + 1")


def test_a_table_and_its_figure_are_below_each_other_in_a_narrow_window(page, server):
    for width, stacked in ((1440, False), (1024, True)):
        page.set_viewport_size({"width": width, "height": 900})
        visit(page, f"{server}/failures?a=lifted_loss-s0&tab=Confused+classes")
        table = page.get_by_test_id("stDataFrame").bounding_box()
        grid = page.locator(".st-key-confusion").bounding_box()
        assert (grid["y"] >= table["y"] + table["height"]) == stacked
        assert grid["width"] > 380
