"""Take the screenshots of the documentation: ``python -m tools.screenshots``.

Starts the app on the runs of ``$RETRIEVAL_RUNS`` (default ``runs``), opens every page in Chromium,
light, and some dark, and writes ``docs/screenshots/*.png``. Needs the ``dev`` extra.
"""

import argparse
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs" / "screenshots"
CHROMIUM = "/usr/bin/chromium"
SHOTS = {
    "overview": "",
    "retrieval": "retrieval",
    "failures": "failures",
    "failures-confused": "failures?tab=Confused+classes",
    "failures-hubs": "failures?tab=Hubs+and+anti-hubs",
    "map": "map?color=Class",
    "compare": "compare",
    "compare-maps": "compare?compared=Two+maps",
    "why": "why",
    "methods": "methods?methods=Data",
}
DARK = ("overview", "retrieval", "map")


def start(runs: Path) -> tuple[subprocess.Popen, str]:
    """Start the app on a folder of runs.

    Args:
        runs: The folder.

    Returns:
        The process and its address, once it answers.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless", "true"]
    process = subprocess.Popen(
        [*command, "--server.port", str(port)],
        cwd=ROOT,
        env=os.environ | {"RETRIEVAL_RUNS": str(runs.resolve())},
        stdout=subprocess.DEVNULL,
    )
    address = f"http://localhost:{port}"
    for _ in range(300):
        try:
            urllib.request.urlopen(f"{address}/_stcore/health", timeout=1).read()
            return process, address
        except OSError:
            time.sleep(0.2)
    process.terminate()
    raise SystemExit("the app did not start")


def shoot(page, url: str, target: Path, *, prepare: str | None = None) -> None:
    """Open one address and write one picture of it.

    Args:
        page: A Playwright page.
        url: Address.
        target: PNG file.
        prepare: Text of a button to press first.
    """
    page.set_viewport_size({"width": 1440, "height": 1000})
    page.goto(url)
    page.wait_for_selector("h1", timeout=60_000)
    if prepare:
        page.get_by_role("button", name=prepare).click()
        page.locator(".heat-scale").nth(1).wait_for(timeout=300_000)  # of both runs
    page.wait_for_timeout(2500)
    height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    page.set_viewport_size({"width": 1440, "height": max(1000, min(1700, height))})
    page.wait_for_timeout(1500)
    page.screenshot(path=target)


def main() -> None:
    """Take every screenshot."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="grocery", help="data set of the pictures")
    parser.add_argument("--item", default=None, help="row of the item that is selected")
    options = parser.parse_args()
    TARGET.mkdir(parents=True, exist_ok=True)
    process, address = start(Path(os.environ.get("RETRIEVAL_RUNS", ROOT / "runs")))
    selected = f"data={options.dataset}" + (f"&item={options.item}" if options.item else "")
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=CHROMIUM if Path(CHROMIUM).exists() else None,
                args=["--no-sandbox", "--enable-unsafe-swiftshader"],
            )
            for scheme in ("light", "dark"):
                context = browser.new_context(color_scheme=scheme)
                page = context.new_page()
                for name, where in SHOTS.items():
                    if scheme == "dark" and name not in DARK:
                        continue
                    url = f"{address}/{where}{'&' if '?' in where else '?'}{selected}"
                    button = "Show what they have in common" if name == "why" else None
                    suffix = "" if scheme == "light" else "-dark"
                    shoot(page, url, TARGET / f"{name}{suffix}.png", prepare=button)
                    print(TARGET / f"{name}{suffix}.png")
                context.close()
            browser.close()
    finally:
        process.terminate()


if __name__ == "__main__":
    main()
