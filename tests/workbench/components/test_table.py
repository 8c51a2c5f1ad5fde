"""The table of figures in a browser, without a server: sorted by a click or a key, names cut."""

import pytest

from workbench.components import HERE

pytestmark = pytest.mark.browser
NAMES = ["angular", "<b>lifted</b>", "hard"]
WIDTH = 600  # pixels


@pytest.fixture
def draw(page):
    """Draw three losses with their R@1 and NMI; again, with other figures, if called again."""
    script, style = ((HERE / f"table.{kind}").read_text(encoding="utf-8") for kind in ("js", "css"))
    page.set_content(
        f"<style>{style} #place {{ width: {WIDTH}px }}</style>"
        '<div id="place"><div class="table"></div></div>'
    )
    page.add_script_tag(content=script.replace("export default function", "window.draw = function"))

    def drawn(recall=(0.75, 0.5, 0.25), nmi=(0.5, 0.6, None), names=NAMES) -> None:
        columns = [{"title": "Loss"}, *({"title": t, "number": True} for t in ("R@1", "NMI"))]
        rows = [
            [{"text": name, "value": name, "title": name}, *(figure(v) for v in values)]
            for name, *values in zip(names, recall, nmi, strict=True)
        ]
        page.evaluate(
            "data => window.draw({ data, parentElement: document.querySelector('#place') })",
            {"alt": "Losses", "columns": columns, "rows": rows},
        )

    drawn()
    return drawn


def figure(value: float | None) -> dict:
    return {"text": "–" if value is None else f"{100 * value:.1f}", "value": value}


def order(page) -> list[str]:
    return page.locator("tbody th").all_inner_texts()


def test_a_click_on_a_head_sorts_highest_first_then_lowest_then_as_it_was(page, draw):
    assert order(page) == NAMES  # as text, never as markup
    head = page.locator("thead th").nth(2)
    for direction, expected in (
        ("descending", ["<b>lifted</b>", "angular", "hard"]),
        ("ascending", ["angular", "<b>lifted</b>", "hard"]),  # what is unknown stays last
        (None, NAMES),
    ):
        head.get_by_role("button").click()
        assert order(page) == expected
        assert head.get_attribute("aria-sort") == direction
    page.get_by_role("button", name="Loss").click()
    assert order(page) == ["<b>lifted</b>", "angular", "hard"]


def test_the_order_holds_when_other_figures_come(page, draw):
    page.get_by_role("button", name="R@1").click()
    page.get_by_role("button", name="R@1").click()
    draw(recall=(0.1, 0.3, 0.2))
    assert order(page) == ["angular", "hard", "<b>lifted</b>"]


def test_the_keyboard_sorts_on_and_on(page, draw):
    page.get_by_role("button", name="NMI").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    assert order(page) == ["angular", "<b>lifted</b>", "hard"]
    assert page.evaluate("document.activeElement.textContent") == "NMI ↑"


def test_a_long_name_leaves_the_figures_in_sight_and_is_whole_on_hover(page, draw):
    long = "x" * 300
    draw(names=["angular", "lifted", long])
    name = page.locator("tbody th").nth(2)
    assert name.get_attribute("title") == long
    last = page.locator("tbody tr").nth(2).locator("td").last.bounding_box()
    place = page.locator("#place").bounding_box()
    assert last["x"] + last["width"] <= place["x"] + WIDTH + 1
