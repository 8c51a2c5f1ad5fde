"""Take the screenshots of the documentation: ``python -m tools.screenshots``.

Starts the app on the runs of ``$RETRIEVAL_RUNS`` (by default ``runs``), opens every page in
Chromium and writes ``docs/screenshots/*.png``: every page in the light theme, some in the dark one
too. Needs the ``dev`` extra.
"""

import argparse
import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from workbench.pages import PAGES

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs" / "screenshots"
CHROMIUM = "/usr/bin/chromium"
# File name -> path and parameters of the URL. A page without an entry is shown as it opens.
VIEWS = {
    **{path: path for path in PAGES},
    next(iter(PAGES)): "",  # Streamlit serves the first page at the root
    "map": "map?color=Class",
    "methods": "methods?methods=Data",
    "failures-confused": "failures?tab=Confused+classes",
    "failures-hubs": "failures?tab=Hubs+and+anti-hubs",
    "compare-maps": "compare?compared=Two+maps",
}
DARK = ("overview", "retrieval", "map")
BUTTONS = {"why": "Show what they have in common"}  # to press before the picture is taken


@contextlib.contextmanager
def running_app(runs: Path) -> Iterator[str]:
    """Run the app on a folder of runs.

    Args:
        runs: The folder.

    Yields:
        The address of the app, once it answers.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless", "true"]
    with subprocess.Popen(
        [*command, "--server.port", str(port)],
        cwd=ROOT,
        env=os.environ | {"RETRIEVAL_RUNS": str(runs.resolve())},
        stdout=subprocess.DEVNULL,
    ) as process:
        address = f"http://localhost:{port}"
        try:
            wait_for(f"{address}/_stcore/health")
            yield address
        finally:
            process.terminate()


def wait_for(url: str) -> None:
    """Wait until an address answers, for a minute at most.

    Raises:
        SystemExit: It does not.
    """
    for _ in range(300):
        try:
            urllib.request.urlopen(url, timeout=1).read()
            return
        except OSError:
            time.sleep(0.2)
    raise SystemExit("the app did not start")


def shoot(page, url: str, target: Path, *, button: str | None = None) -> None:
    """Open an address and take a screenshot of the whole page.

    Args:
        page: A Playwright page.
        url: The address.
        target: PNG file to write.
        button: Text of a button to press first. Defaults to none.
    """
    page.set_viewport_size({"width": 1440, "height": 1000})
    page.goto(url)
    page.wait_for_selector("h1", timeout=60_000)
    if button:
        page.get_by_role("button", name=button).click()
        page.locator(".heat-scale").nth(1).wait_for(timeout=300_000)  # of both runs
    page.wait_for_timeout(2500)
    height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    page.set_viewport_size({"width": 1440, "height": max(1000, min(1700, height))})
    page.wait_for_timeout(1500)
    page.screenshot(path=target)


def main() -> None:
    """Take every screenshot."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dataset", default="grocery", help="data set of the pictures")
    parser.add_argument("--item", default=None, help="row of the item that is selected")
    options = parser.parse_args()
    TARGET.mkdir(parents=True, exist_ok=True)
    selected = f"data={options.dataset}" + (f"&item={options.item}" if options.item else "")
    runs = Path(os.environ.get("RETRIEVAL_RUNS", ROOT / "runs"))
    with running_app(runs) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM if Path(CHROMIUM).exists() else None,
            args=["--no-sandbox", "--enable-unsafe-swiftshader"],
        )
        for scheme, names in (("light", VIEWS), ("dark", DARK)):
            context = browser.new_context(color_scheme=scheme)
            page = context.new_page()
            for name in names:
                view = VIEWS[name]
                url = f"{address}/{view}{'&' if '?' in view else '?'}{selected}"
                target = TARGET / f"{name}{'' if scheme == 'light' else '-dark'}.png"
                shoot(page, url, target, button=BUTTONS.get(name))
                print(target)
            context.close()
        browser.close()


if __name__ == "__main__":
    main()
