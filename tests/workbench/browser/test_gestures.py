"""Clicks, keys, links and history in a real browser, on real photographs."""

import re

import pytest
from playwright.sync_api import expect

from tests.workbench.browser.driver import expect_parameter, loaded, visit

pytestmark = pytest.mark.browser


def test_from_the_overview_to_a_failure_and_the_same_query_under_another_loss(page, server):
    visit(page, server)
    page.get_by_role("button", name="See failures").click()
    expect(page.locator("h1")).to_have_text("Failures")
    assert loaded(page, ".st-key-failed")
    card = page.locator(".st-key-failed .card.query").first
    row = card.get_attribute("data-row")
    card.click()
    expect(page.locator("h1")).to_have_text("Retrieval")
    expect(page.locator(f".st-key-results .card.query[data-row='{row}']")).to_be_visible()
    assert loaded(page, ".st-key-results")
    titles = page.locator(".st-key-every_run .title")
    expect(titles).to_have_count(4)
    expect(titles.first).to_have_text("semi_hard_triplet-s0")


def test_a_result_becomes_the_query_in_place_and_back_returns(page, server):
    visit(page, f"{server}/retrieval?item=0")
    result = page.locator(".st-key-results button.card").nth(2)
    row = result.get_attribute("data-row")
    result.click()
    expect(page.locator(f".st-key-results .card.query[data-row='{row}']")).to_be_visible()
    expect_parameter(page, "item", row)
    page.get_by_role("button", name="Back").click()
    expect(page.locator(".st-key-results .card.query[data-row='0']")).to_be_visible()
    expect_parameter(page, "item", "0")


def test_the_browsers_back_and_forward_step_through_items(page, server):
    visit(page, f"{server}/retrieval?item=0")
    for row in ("1", "6"):
        page.get_by_role("button", name="Next").click()
        expect(page.locator(f".st-key-results .card.query[data-row='{row}']")).to_be_visible()
        expect_parameter(page, "item", row)
    page.go_back()
    expect(page.locator(".st-key-results .card.query[data-row='1']")).to_be_visible()
    page.go_forward()
    expect(page.locator(".st-key-results .card.query[data-row='6']")).to_be_visible()
    assert page.locator("h1").inner_text() == "Retrieval"


def test_following_a_page_is_one_step_of_the_browsers_history(page, server):
    visit(page, f"{server}/failures")  # short: what is missing is filled in
    expect_parameter(page, "a", "semi_hard_triplet-s0")
    page.get_by_test_id("stSidebarNav").get_by_text("Retrieval").click()
    expect(page.locator("h1")).to_have_text("Retrieval")
    expect(page).to_have_url(re.compile("item="))
    page.get_by_test_id("stSidebarNav").get_by_text("Methods and data").click()
    expect(page.locator("h1")).to_have_text("Methods and data")
    expect(page).to_have_url(re.compile("item="))
    assert page.evaluate("history.length") == 4  # the empty page that a browser opens with
    for title in ("Retrieval", "Failures"):
        page.go_back()
        expect(page.locator("h1")).to_have_text(title)


def test_keys_step_through_queries(page, server):
    visit(page, f"{server}/retrieval?item=0")
    expect(page.locator(".st-key-results .card.query[data-row='0']")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".st-key-results .card.query[data-row='1']")).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".st-key-results .card.query[data-row='0']")).to_be_visible()


def test_keys_turn_the_pages_of_a_gallery(page, server):
    visit(page, f"{server}/failures?a=lifted_loss-s0")
    card = page.locator(".st-key-failed .card.query").first
    first = card.get_attribute("data-row")
    page.keyboard.press("ArrowRight")
    expect(card).not_to_have_attribute("data-row", first)
    page.keyboard.press("ArrowLeft")
    expect(card).to_have_attribute("data-row", first)


def test_a_deep_link_survives_a_reload(page, server):
    link = f"{server}/retrieval?a=lifted_loss-s0&k=20&protocol=leave_one_out&item=33"
    visit(page, link)
    for _ in range(2):
        expect(page.locator(".st-key-context")).to_contain_text("lifted_loss-s0")
        expect(page.locator(".st-key-context")).to_contain_text("leave-one-out")
        expect(page.locator(".st-key-results .card.query[data-row='33']")).to_be_visible()
        expect(page.locator(".st-key-results button.card")).to_have_count(20)
        page.reload()
    expect_parameter(page, "a", "lifted_loss-s0")


def test_the_selection_travels_across_pages(page, server):
    visit(page, f"{server}/retrieval?a=contrastive_loss-s1&item=12")
    page.get_by_test_id("stSidebarNav").get_by_text("Embedding map").click()
    expect(page.locator("h1")).to_have_text("Embedding map")
    expect(page.locator(".st-key-neighbors .card.query[data-row='12']")).to_be_visible()
    expect_parameter(page, "a", "contrastive_loss-s1")
    expect_parameter(page, "item", "12")


def test_dark_mode_and_signs_beside_colors(browser, server):
    context = browser.new_context(viewport={"width": 1440, "height": 1000}, color_scheme="dark")
    page = visit(context.new_page(), f"{server}/retrieval?a=lifted_loss-s0")
    background = page.evaluate("getComputedStyle(document.querySelector('.stApp')).backgroundColor")
    assert max(int(v) for v in re.findall(r"\d+", background)[:3]) < 60
    expect(page.locator(".st-key-results .card.miss").first).to_be_visible()
    signs = set(page.locator(".st-key-results .bar .sign").all_inner_texts())
    assert signs <= {"✓", "✗"}
    assert "✗" in signs
    for card in page.locator(".st-key-results button.card").all()[:5]:
        assert re.search(r"rank \d+, .*(correct|wrong)", card.get_attribute("aria-label"))
        assert card.locator("img").get_attribute("alt")
    context.close()


def test_two_users_do_not_disturb_each_other(browser, server):
    contexts = [browser.new_context() for _ in range(2)]
    one, two = (context.new_page() for context in contexts)
    visit(one, f"{server}/retrieval?a=lifted_loss-s0&item=0")
    visit(two, f"{server}/retrieval?a=contrastive_loss-s0&item=12")
    one.get_by_role("button", name="Next").click()
    expect(one.locator(".st-key-results .card.query[data-row='1']")).to_be_visible()
    expect(two.locator(".st-key-results .card.query[data-row='12']")).to_be_visible()
    expect(two.locator(".st-key-context")).to_contain_text("contrastive_loss-s0")
    for context in contexts:
        context.close()
