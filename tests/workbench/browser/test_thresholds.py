"""The slider of the page Thresholds, in a real browser."""

import re

import pytest
from playwright.sync_api import expect

from tests.workbench.browser.driver import visit

pytestmark = pytest.mark.browser


def test_the_slider_moves_the_rates_and_the_link_keeps_the_threshold(page, server):
    visit(page, f"{server}/thresholds")
    rate = page.get_by_test_id("stMetricValue").first
    before = float(rate.inner_text().rstrip("%"))
    slider = page.locator("[data-testid=stSlider] input").last
    slider.focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    expect(page).to_have_url(re.compile("threshold="))
    expect(rate).not_to_have_text(f"{before}%")
    after = rate.inner_text()
    assert float(after.rstrip("%")) < before
    page.reload()
    expect(rate).to_have_text(after)
