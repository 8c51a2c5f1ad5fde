"""Drive the app in a real browser."""

import re

from playwright.sync_api import Page, expect

expect.set_options(timeout=20_000)  # the machine may be busy with other tests


def visit(page: Page, address: str) -> Page:
    """Open an address and wait until the app has drawn the page."""
    page.goto(address)
    expect(page.locator("h1")).to_be_visible(timeout=20_000)
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    return page


def expect_parameter(page: Page, name: str, value: str) -> None:
    """Wait until the URL has a parameter with this value."""
    expect(page).to_have_url(re.compile(rf"[?&]{name}={re.escape(value)}(&|$)"))


def loaded(page: Page, selector: str) -> bool:
    """Wait until every image in a place is really drawn, not just asked for."""
    expect(page.locator(f"{selector} img").first).to_be_visible(timeout=10_000)
    page.wait_for_function(
        """selector => {
            const found = [];
            const walk = (root) => {
                found.push(...root.querySelectorAll("img"));
                root.querySelectorAll("*").forEach((n) => n.shadowRoot && walk(n.shadowRoot));
            };
            walk(document.querySelector(selector));
            found.forEach((image) => (image.loading = "eager")); // also those out of sight
            return found.length > 0 && found.every((i) => i.complete && i.naturalWidth > 0);
        }""",
        arg=selector,
    )
    return True
