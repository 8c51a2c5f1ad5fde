"""Trainings in a real browser: a finished run appears without a reload."""

import os
import shutil
import time

import pytest
from playwright.sync_api import expect

from retrieval.runs.places import LIVE_FILE
from tests.runs.unfinished import live, write_training
from tests.workbench.browser.driver import expect_parameter, visit
from tests.workbench.conftest import served_app

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def own_server(tmp_path_factory):
    """An app on a folder of its own, in which runs appear."""
    root = tmp_path_factory.mktemp("own") / "runs"
    with served_app(root) as address:
        yield address, root


def say(folder, **changes):
    """Let a training say something else, as it does: whole."""
    write_training(folder.with_name("x"), live(**changes), saved=0)
    os.replace(folder.with_name(".x.partial") / LIVE_FILE, folder / LIVE_FILE)
    shutil.rmtree(folder.with_name(".x.partial"))


def finish(folder, template, name):
    """Publish a run in place of its training, as a training does."""
    made = folder.with_name(".made.next")
    shutil.copytree(template, made)
    shutil.rmtree(folder)
    made.rename(folder.with_name(name))


def test_the_first_run_appears_by_itself(page, own_server, template):
    address, root = own_server
    visit(page, address)
    expect(page.locator("h1")).to_have_text("No runs yet")
    folder = write_training(root / "photos" / "one", live())
    expect(page.locator("h1")).to_have_text("Trainings")
    expect(page.get_by_text("step 437 of 1,000").first).to_be_visible()
    say(folder, step=999)
    expect(page.get_by_text("step 999 of 1,000").first).to_be_visible()
    finish(folder, template, "one")
    expect(page.locator("h1")).to_have_text("Overview")
    expect_parameter(page, "a", "one")
    shutil.rmtree(root / "photos")


def test_a_finished_run_appears_while_another_is_looked_at(page, own_server, template):
    address, root = own_server
    for name in ("one", "two"):
        shutil.copytree(template, root / "photos" / name)
    folder = write_training(root / "photos" / "new", live())
    visit(page, f"{address}/retrieval?a=two&item=7")
    link = page.get_by_test_id("stSidebar").get_by_text("Training: step 437")
    expect(link).to_be_visible()
    page.evaluate("document.querySelector('h1').dataset.mark = 'kept'")
    say(folder, step=438)
    expect(page.get_by_text("step 438 of").first).to_be_visible()
    expect(page.locator("h1[data-mark=kept]")).to_be_visible()
    finish(folder, template, "new")
    expect(page.get_by_text("step 438 of")).to_have_count(0)
    expect_parameter(page, "a", "two")
    expect_parameter(page, "item", "7")
    page.get_by_test_id("stSidebar").get_by_role("combobox").nth(2).click()
    expect(page.get_by_role("option", name="new")).to_be_visible()
    shutil.rmtree(root / "photos")


def test_cards_are_updated_in_place_and_the_page_stays_where_it_was(page, own_server, template):
    address, root = own_server
    shutil.copytree(template, root / "photos" / "one")
    folders = [write_training(root / "photos" / f"run{n}", live(started=n)) for n in range(4)]
    visit(page, f"{address}/trainings")
    expect(page.locator(".js-plotly-plot")).to_have_count(8)
    main = page.get_by_test_id("stMain")
    main.evaluate("element => element.scrollTo(0, 700)")
    page.evaluate(
        """() => {
            document.querySelectorAll(".js-plotly-plot").forEach((n) => (n.dataset.mark = "kept"));
            window.gone = 0;
            new MutationObserver((all) => all.forEach((one) => one.removedNodes.forEach((n) => {
                if (n.querySelector && (n.matches(".js-plotly-plot") ||
                    n.querySelector(".js-plotly-plot"))) window.gone += 1;
            }))).observe(document.body, { childList: true, subtree: true });
        }"""
    )
    for step in (500, 501, 502):
        say(folders[0], step=step, started=0)
        expect(page.get_by_text(f"step {step} of").first).to_be_attached()
        time.sleep(0.5)
    assert page.locator(".js-plotly-plot[data-mark=kept]").count() == 8
    assert page.evaluate("window.gone") == 0
    assert main.evaluate("element => element.scrollTop") == 700
    shutil.rmtree(root / "photos")
