"""Maps in a real browser: hover, click, lasso and rings, in two and three dimensions."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from retrieval.runs.run import Run
from tests.workbench.browser.driver import expect_parameter, loaded, visit
from workbench import components
from workbench.data.images import hover_card

pytestmark = pytest.mark.browser

MAP = ".st-key-map .js-plotly-plot"
MAP_A, MAP_B = ".st-key-map_a .js-plotly-plot", ".st-key-map_b .js-plotly-plot"
LONELY = """selector => {
    const [trace] = document.querySelector(selector)._fullData;
    const far = [...trace.x.keys()].map((i) => Math.min(...[...trace.x.keys()].map((j) =>
        i === j ? Infinity : Math.hypot(trace.x[i] - trace.x[j], trace.y[i] - trace.y[j]))));
    return far.indexOf(Math.max(...far));
}"""
PIXEL = """([selector, index]) => {
    const chart = document.querySelector(selector);
    const { xaxis, yaxis } = chart._fullLayout;
    const [trace] = chart._fullData;
    const box = chart.getBoundingClientRect();
    return [
        box.x + xaxis._offset + xaxis.l2p(trace.x[index]),
        box.y + yaxis._offset + yaxis.l2p(trace.y[index]),
        Number(trace.customdata[index]),
    ];
}"""


def point(page: Page, selector: str, index: int) -> tuple[float, float, int]:
    page.wait_for_function(
        "s => document.querySelector(s)?._fullLayout?.xaxis?.l2p && "
        "document.querySelector(s).querySelector('.points-overlay')",
        arg=selector,
    )
    page.locator(selector).scroll_into_view_if_needed()
    page.wait_for_timeout(400)
    x, y, row = page.evaluate(PIXEL, [selector, index])
    return x, y, int(row)


def lonely(page: Page, selector: str) -> int:
    """Number of the point that is farthest from every other, so that nothing covers it."""
    point(page, selector, 0)
    return page.evaluate(LONELY, selector)


def number_of(page: Page, selector: str, row: int) -> int:
    script = "([s, r]) => [...document.querySelector(s)._fullData[0].customdata].indexOf(r)"
    return page.evaluate(script, [selector, row])


def hover(page: Page, x: float, y: float) -> None:
    page.mouse.move(x - 30, y - 30)
    page.mouse.move(x, y, steps=4)


def test_hover_shows_the_image_and_a_click_its_neighbors(page, server):
    told: list[str] = []
    page.on("console", lambda message: told.append(message.text))
    visit(page, f"{server}/map")
    x, y, row = point(page, MAP, lonely(page, MAP))
    hover(page, x, y)
    panel = page.locator(".hover-card")
    expect(panel).to_be_visible()
    source = panel.locator("img").get_attribute("src")
    shown = int(re.search(r"/thumbnails/photos/[^/]+/(\d+)", source).group(1))
    assert shown == row
    assert [text for text in told if "color" in text] == []
    page.wait_for_function(
        "() => { for (const n of document.querySelectorAll('*')) {"
        " const i = n.shadowRoot?.querySelector('.hover-card img');"
        " if (i && i.naturalWidth > 0) return true; } return false; }"
    )
    page.mouse.click(x, y)
    expect(page.locator(f".st-key-neighbors .card.query[data-row='{shown}']")).to_be_visible()
    assert loaded(page, ".st-key-neighbors")
    expect_parameter(page, "item", str(shown))
    page.mouse.move(5, 5)
    expect(panel).to_be_hidden()


def test_hover_and_click_work_in_three_dimensions(page, server):
    visit(page, f"{server}/map?layout=PCA+3-D")
    page.wait_for_function(f"document.querySelector('{MAP}')?._fullLayout?.scene?._scene?.glplot")
    box = page.locator(MAP).bounding_box()
    center = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    panel = page.locator(".hover-card")
    for step in range(400):  # points have no known pixel: sweep until one is met
        page.mouse.move(center[0] - 150 + 8 * (step % 40), center[1] - 50 + 12 * (step // 40))
        page.wait_for_timeout(150)  # longer than a pointer must rest
        if panel.is_visible():
            break
    expect(panel).to_be_visible()
    page.mouse.down()
    page.mouse.up()
    expect(page.locator(".st-key-neighbors .card.query")).to_be_visible()


RINGS = """() => {
    const canvas = document.querySelector(".st-key-map .points-overlay");
    if (!canvas?.width) return 0;
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return data.reduce((sum, value, i) => sum + (i % 4 === 3 && value > 0), 0);
}"""


def test_found_and_selected_items_are_ringed_in_three_dimensions(page, server):
    visit(page, f"{server}/map?layout=PCA+3-D&item=8&find=flower+0-0")
    expect(page.get_by_text("6 items match")).to_be_visible()
    page.wait_for_function(f"() => ({RINGS})() > 300")  # six small rings, one large
    before = page.evaluate(RINGS)
    box = page.locator(MAP).bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.wheel(0, -400)  # nearer: longer lines to the neighbors
    page.wait_for_function(f"before => ({RINGS})() !== before", arg=before)


# The ink, as the sum of alpha, of one ring where n rows are found; then whether the ring of the
# selected one is seen through all of them. Drawn without Plotly.
INK = """n => {
    const rows = [...Array(n).keys()];
    const data = { found: rows, selected: null, neighbors: [[]] };
    const ringColors = () => ["rgb(0, 0, 0)", "rgb(255, 255, 255)"];
    const chart = new Chart("map", 0, { data, ringColors, linkedRows: () => [] });
    chart.node = { _fullLayout: { width: 100, height: 100 } };
    const pixels = () => chart.canvas.getContext("2d").getImageData(0, 0, 100, 100).data;
    chart.pixel = (row) => (row === 0 ? [50, 50] : null);
    chart.draw();
    const ink = pixels().reduce((sum, value, i) => sum + (i % 4 === 3 ? value : 0), 0);
    data.selected = 0;
    const place = (n) => 30 + (n % 40);
    chart.pixel = (row) => (row === 0 ? [50, 50] : [place(row), place(7 * row)]);
    chart.draw();
    const at = (x) => [...pixels().slice(4 * (100 * 50 + x), 4 * (100 * 50 + x) + 4)];
    return { ink, ring: at(58), rim: at(61) };
}"""


def test_many_rings_are_faint_and_lie_below_the_one_of_the_selected_point(page):
    scripts = Path(components.__file__).parent
    page.set_content("<p>nothing</p>")
    page.add_script_tag(content=(scripts / "points_chart.js").read_text(encoding="utf-8"))
    page.evaluate("window.element = (name) => document.createElement(name)")
    few, many = (page.evaluate(INK, n) for n in (300, 15_216))
    assert many["ink"] < few["ink"] / 4
    for drawn in (few, many):
        assert drawn["ring"] == [0, 0, 0, 255]
        assert min(drawn["rim"]) > 230


def test_a_lasso_that_starts_on_a_point_selects_and_does_not_click(page, server):
    visit(page, f"{server}/map")
    x, y, _ = point(page, MAP, lonely(page, MAP))
    page.locator(f"{MAP} .modebar-btn[data-title='Lasso Select']").click(force=True)
    box = page.locator(f"{MAP} .nsewdrag").bounding_box()
    hover(page, x, y)
    expect(page.locator(".hover-card")).to_be_visible()
    corners = [(0.02, 0.02), (0.98, 0.02), (0.98, 0.98), (0.02, 0.98), (0.02, 0.05)]
    at = [(box["x"] + u * box["width"], box["y"] + v * box["height"]) for u, v in corners]
    page.mouse.down()
    for corner in (*at, (x, y)):
        page.mouse.move(*corner, steps=6)
    page.mouse.up()
    expect(page.get_by_text(re.compile(r"\d+ items of \d+ classes"))).to_be_visible()
    expect(page.locator(".st-key-lasso .card")).to_have_count(60)
    assert loaded(page, ".st-key-lasso")
    assert "item=" not in page.url
    picked = page.evaluate(
        "s => { const [t] = document.querySelector(s)._fullData;"
        " return t.selectedpoints.map((i) => Number(t.customdata[i])); }",
        MAP,
    )
    cards = page.locator(".st-key-lasso .card").all()
    rows = {int(card.get_attribute("data-row")) for card in cards}
    assert rows <= set(picked)
    page.locator(".st-key-color input").click()  # in another color, the same items are lassoed
    page.get_by_role("option", name="Rank of the first relevant item").click()
    expect_parameter(page, "color", "Rank+of+the+first+relevant+item")
    page.wait_for_timeout(1000)
    cards = page.locator(".st-key-lasso .card").all()
    assert {int(card.get_attribute("data-row")) for card in cards} == rows


def test_two_maps_are_linked_and_each_shows_the_results_of_its_run(page, server, runs_root):
    runs = [
        Run(runs_root / "photos" / f"{loss}-s0") for loss in ("semi_hard_triplet", "lifted_loss")
    ]
    a, b = (run.neighbors("query_gallery") for run in runs)
    row = int(a.queries[(a.first_relevant_rank == 1) & (b.first_relevant_rank > 1)][0])
    visit(page, f"{server}/compare?b=lifted_loss-s0&compared=Two+maps")
    point(page, MAP_A, 0)
    for chart, other, run in ((MAP_A, "map_b", runs[0]), (MAP_B, "map_a", runs[1])):
        x, y, found = point(page, chart, number_of(page, chart, row))
        assert found == row
        hover(page, x, y)
        expect(page.locator(".hover-card .verdict")).to_contain_text(
            hover_card(run, "query_gallery", row)["verdict"]
        )
        assert page.evaluate(RINGED, other)  # the same item is ringed on the other map
    page.mouse.click(x, y)
    expect(page.locator(f".st-key-both_neighbors .card.query[data-row='{row}']")).to_be_visible()
    expect(page.locator(".st-key-both_neighbors button.card")).to_have_count(20)
    assert loaded(page, ".st-key-both_neighbors")
    expect_parameter(page, "item", str(row))


RINGED = """key => {
    const canvas = document.querySelector(`.st-key-${key} .points-overlay`);
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return data.some((value, i) => i % 4 === 3 && value > 0);
}"""
