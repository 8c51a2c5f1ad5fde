"""The cards in a browser, without a server: where text breaks, and how a chosen card stands out."""

import pytest

from workbench.components import HERE

pytestmark = pytest.mark.browser
INK = "rgb(27, 37, 48)"
LINES = """(of) => [...document.querySelectorAll(of)].map((label) => {
    const lines = {};
    const walk = document.createTreeWalker(label, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
        const node = walk.currentNode;
        for (let i = 0; i < node.length; i++) {
            const range = document.createRange();
            range.setStart(node, i);
            range.setEnd(node, i + 1);
            const { top } = range.getBoundingClientRect();
            lines[top] = (lines[top] ?? "") + node.data[i];
        }
    }
    return Object.keys(lines).sort((a, b) => a - b).map((top) => lines[top]);
})"""


def draw(page, cards: list[dict], **row: object) -> None:
    style = (HERE / "cards.css").read_text(encoding="utf-8")
    script = (HERE / "cards.js").read_text(encoding="utf-8")
    page.set_content(
        f"<style>:root {{ --st-font: sans-serif; --st-text-color: {INK}; font-size: 15px;"
        "--st-background-color: white; --st-primary-color: #0072b2; --st-border-color: #dde3e9 }"
        f'{style}</style><div id="place"><div class="cards"></div></div>'
    )
    module = script.replace("export default function", "window.drawCards = function")
    page.add_script_tag(content=module)
    page.evaluate(
        """data => window.drawCards(
            { data, parentElement: document.querySelector("#place"), setTriggerValue() {} }
        )""",
        {"rows": [{"cards": cards, "size": 100} | row]},
    )


def test_names_break_between_words_and_after_joining_signs_never_within(page):
    names = ["Brown Cap Mushroom", "garden_furniture/folding_chair", "Donaudampfschifffahrt 19"]
    draw(page, [{"row": i, "src": "data:,", "label": name} for i, name in enumerate(names)])
    whole = []
    for name, lines in zip(names, page.evaluate(LINES, ".label"), strict=True):
        assert len(lines) > 1
        assert "".join(lines).replace(" ", "") == name.replace(" ", "")
        whole += [line.strip() for line in lines]
    assert set(whole) <= {
        "Brown", "Brown Cap", "Cap", "Mushroom", "Cap Mushroom", "garden_", "furniture/",
        "garden_furniture/", "folding_", "chair", "folding_chair", "furniture/folding_",
        "Donaudampfschifffahrt", "19",
    }  # fmt: skip


def test_a_name_wider_than_its_card_ends_in_an_ellipsis_and_is_whole_on_hover(page):
    draw(page, [{"row": 0, "src": "data:,", "label": "x" * 300}])
    label = page.locator(".label")
    assert label.evaluate("l => getComputedStyle(l).textOverflow") == "ellipsis"
    assert label.evaluate("l => l.scrollWidth > l.clientWidth")
    assert label.bounding_box()["width"] <= 100
    assert page.locator(".card").get_attribute("title").startswith("x" * 300)


def test_a_chosen_card_has_a_ring_in_the_color_of_text_whatever_its_mark(page):
    draw(page, [{"row": 0, "src": "data:,", "label": "a", "mark": "hit", "kind": "chosen"}])
    ring = page.locator(".frame").evaluate("f => getComputedStyle(f).boxShadow")
    assert INK in ring


def test_a_score_without_a_rank_begins_at_the_edge_of_the_card(page):
    draw(page, [{"row": 0, "src": "data:,", "label": "a", "score": "query"}])
    edges = [page.locator(place).bounding_box()["x"] for place in (".card", ".score")]
    assert edges[0] == edges[1]


def test_a_row_that_goes_on_fades_out_at_that_edge(page):
    cards = [{"row": i, "src": "data:,", "label": str(i)} for i in range(12)]
    draw(page, cards, layout="line")
    page.evaluate("document.querySelector('#place').style.width = '400px'")
    strip = page.locator(".strip.after:not(.before)")
    strip.wait_for()
    strip.evaluate("strip => strip.scrollTo(9999, 0)")
    page.locator(".strip.before:not(.after)").wait_for()
    page.evaluate("document.querySelector('#place').style.width = '1400px'")
    page.locator(".strip:not(.before):not(.after)").wait_for()


def test_a_narrow_grid_has_fewer_columns_and_a_wide_one_those_asked_for(page):
    cards = [{"row": i, "src": "data:,", "label": str(i)} for i in range(10)]
    draw(page, cards, layout="grid", columns=5)
    for width, columns in ((1200, 5), (560, 5), (300, 3)):
        page.evaluate(f"document.querySelector('#place').style.width = '{width}px'")
        boxes = [card.bounding_box() for card in page.locator(".card").all()]
        assert sum(box["y"] == boxes[0]["y"] for box in boxes) == columns
        assert 80 <= boxes[0]["width"] <= 101


FACTS = [
    {"name": "price", "text": "9.50", "url": ""},
    {"name": "note", "text": "<b>x</b><script>window.hacked = 1</script>", "url": ""},
    {"name": "bad", "text": "click", "url": "javascript:window.hacked=1"},
    {"name": "page", "text": "shop.example", "url": "https://shop.example/1"},
]


def test_columns_are_text_and_only_web_addresses_are_links(page):
    draw(page, [{"row": 0, "src": "data:,", "label": "a", "facts": FACTS}])
    facts = page.locator(".fact")
    assert facts.nth(0).inner_text() == "price 9.50"
    assert facts.nth(1).inner_text() == f"note {FACTS[1]['text']}"
    assert page.locator(".fact .link").all_inner_texts() == ["shop.example ↗"]
    assert page.locator(".fact b, .fact script").count() == 0
    facts.nth(2).click()
    assert page.evaluate("window.hacked") is None
    assert "price 9.50" in page.locator("button.card").get_attribute("aria-label")


def test_a_link_opens_beside_the_app_and_does_not_pick_the_card(page):
    card = {"row": 0, "src": "data:,", "label": "a", "facts": FACTS[3:]}
    draw(page, [card, card | {"row": 1, "pickable": False}])
    page.evaluate(
        "window.opened = []; window.picked = 0; window.open = (...given) => opened.push(given);"
        "document.querySelector('button.card').addEventListener('click', () => picked++)"
    )
    page.locator("button .link").click()
    page.locator("button .link").press("Enter")
    assert page.evaluate("[opened, picked]") == [
        [["https://shop.example/1", "_blank", "noopener,noreferrer"]] * 2,
        0,
    ]
    link = page.locator("a.link")
    assert link.get_attribute("href") == "https://shop.example/1"
    assert link.get_attribute("rel") == "noopener noreferrer nofollow"


def test_a_picture_elsewhere_is_loaded_only_when_it_is_asked_for(page):
    asked = []
    page.route("https://pictures.example/**", lambda route: (asked.append(1), route.abort()))
    card = {"row": 0, "src": "data:,", "label": "a", "remote": "https://pictures.example/1.jpg"}
    draw(page, [card, card | {"row": 1, "remote": "javascript:1"}])
    offers = page.locator(".remote")
    assert offers.all_inner_texts() == ["Load from pictures.example"]
    assert not asked
    with page.expect_request("https://pictures.example/1.jpg"):
        offers.first.click()
    assert page.locator("img").first.get_attribute("referrerpolicy") == "no-referrer"
    assert page.locator(".remote").count() == 0


@pytest.mark.parametrize("layout", ["line", "grid"])
def test_a_date_or_a_price_below_a_small_image_is_not_broken(page, layout):
    told = {
        "released": "2024-12-04",
        "price": "$1,213.99",
        "of": "Donaudampfschifffahrt",
    }
    facts = [{"name": name, "text": text} for name, text in told.items()]
    cards = [{"row": row, "src": "data:,", "facts": facts} for row in range(30)]
    draw(page, cards, layout=layout, columns=30, size=88)
    lines = page.evaluate(LINES, ".fact .value")
    assert len(lines) == 90
    assert lines[:2] == [["2024-12-04"], ["$1,213.99"]]
    assert len(lines[2]) > 1
    edge = "e => e.getBoundingClientRect().right"
    for at in range(2):
        value = page.locator(".fact .value").nth(at)
        assert value.evaluate(edge) <= page.locator(".card").first.evaluate(edge)
