"""Time the app in a real browser, on six runs of 60,502 items with real thumbnails.

    python benchmarks/app.py [--items 60502] [--runs 6] [--folder build/app-benchmark]

Builds the runs once (synthetic embeddings of the size of Stanford Online Products, thumbnails cut
from real photographs), starts the app, drives Chromium and prints one line per figure, next to its
limit. A Streamlit page with a title only, measured alternately with the first page, says how much
of that is due to Streamlit and the machine.
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import psutil
from app_runs import LOSSES, build
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parents[1]
CHROMIUM = "/usr/bin/chromium"
MAP = ".st-key-map .js-plotly-plot"
NEAR = ".st-key-neighbors"
BARE = 'import streamlit as st\n\nst.title("Overview")\n'
FIGURES_DRAWN = """() => {
    const charts = [...document.querySelectorAll(".stPlotlyChart")];
    return charts.length >= 3 && charts.every((chart) => chart.querySelector(".main-svg"));
}"""
MAP_DRAWN = f"Boolean(document.querySelector('{MAP}')?._fullLayout?.xaxis?.l2p)"
IMAGES_DRAWN = """selector => {
    const found = [];
    const walk = (node) => {
        if (!node) return;
        found.push(...node.querySelectorAll("img"));
        node.querySelectorAll("*").forEach((n) => n.shadowRoot && walk(n.shadowRoot));
    };
    walk(document.querySelector(selector));
    return found.length > 5 && found.every((i) => i.complete && i.naturalWidth > 0);
}"""


def start(folder: Path, root: Path = ROOT) -> tuple[subprocess.Popen, str]:
    """Start the app of a folder on a folder of runs; returns once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless", "true",
         "--server.port", str(port)],
        cwd=root, env=os.environ | {"RETRIEVAL_RUNS": str(folder.resolve())},
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    address = f"http://localhost:{port}"
    while True:
        try:
            urllib.request.urlopen(f"{address}/_stcore/health", timeout=1).read()
            return process, address
        except OSError:
            time.sleep(0.1)


def interactive(page: Page, title: str) -> None:
    """Wait until a page has its title and figures and its script has finished."""
    page.wait_for_function(
        """title => document.querySelector("h1")?.textContent.trim() === title
            && document.querySelector(".stApp")?.dataset.testScriptState === "notRunning"
            && document.querySelectorAll(".stApp [data-stale='true']").length === 0""",
        arg=title,
        timeout=60_000,
        polling=20,
    )


def memory(process: subprocess.Popen) -> float:
    """Return the server's memory in MB: its own pages, and its share of shared ones."""
    parts = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    return sum(part.memory_full_info().pss for part in parts) / 2**20


def private_memory(process: subprocess.Popen) -> float:
    """Return the server's memory in MB without file pages, which can be dropped any time."""
    parts = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    return sum(part.memory_full_info().uss - _clean_file_pages(part) for part in parts) / 2**20


def _clean_file_pages(process: psutil.Process) -> int:
    return sum(m.private_clean for m in process.memory_maps(grouped=True) if m.path[0] == "/")


def report(name: str, value: float, unit: str, limit: float) -> None:
    """Print one figure next to its limit."""
    verdict = "ok" if value <= limit else "OVER"
    print(f"{name:<58} {value:9.2f} {unit:<3} limit {limit:g} {unit}  {verdict}", flush=True)


def time_page(page: Page, address: str, title: str) -> float:
    """Open a URL; return the seconds until the page is interactive."""
    begun = time.perf_counter()
    page.goto(address)
    interactive(page, title)
    return time.perf_counter() - begun


def time_first_page(context, address: str, bare: str, repeats: int = 7) -> None:
    """Report the median time of a warm first page, and of a page with a title only."""
    seconds, drawn, floor = [], [], []
    for _ in range(repeats):
        page = context.new_page()
        floor.append(time_page(page, bare, "Overview"))
        page.close()
        page = context.new_page()
        begun = time.perf_counter()
        seconds.append(time_page(page, address, "Overview"))
        page.wait_for_function(FIGURES_DRAWN, polling=20)
        drawn.append(time.perf_counter() - begun)
        page.wait_for_timeout(300)
        page.close()
    spread = f"({min(seconds):.2f} to {max(seconds):.2f})"
    report(f"first page, warm, median of {repeats} {spread}", statistics.median(seconds), "s", 1)
    for what, times in (("its figures drawn", drawn), ("a page with a title only", floor)):
        print(f"  {what:<56} {statistics.median(times):9.2f} s")


def time_switch(page: Page, title: str) -> float:
    """Go to a page by the navigation; returns seconds until it is interactive."""
    begun = time.perf_counter()
    page.get_by_test_id("stSidebarNav").get_by_text(title, exact=True).click()
    interactive(page, title)
    return time.perf_counter() - begun


def time_switches(page: Page) -> dict[str, float]:
    """Go through the pages by the navigation; returns seconds per page."""
    seconds = {}
    for title in ("Retrieval", "Failures", "Embedding map", "Compare losses", "Methods and data",
                  "Overview", "Retrieval"):  # fmt: skip
        begun = time.perf_counter()
        seconds[f"{title} (again)" if title in seconds else title] = time_switch(page, title)
        if title == "Embedding map":
            page.wait_for_function(MAP_DRAWN, polling=20)
            seconds["Embedding map, points drawn"] = time.perf_counter() - begun
        page.wait_for_timeout(500)
    return seconds


def measure_map(context, address: str) -> tuple[float, list[float]]:
    """Return MB sent for the map page, and seconds from clicks on points to their images."""
    page = context.new_page()
    sent = [0]

    def count(frame: object) -> None:
        sent[0] += len(frame.encode() if isinstance(frame, str) else frame)

    page.on("websocket", lambda socket: socket.on("framereceived", count))
    page.goto(f"{address}/map")
    interactive(page, "Embedding map")
    page.wait_for_function(MAP_DRAWN)
    page.wait_for_timeout(1500)
    megabytes, seconds = sent[0] / 1e6, []
    for index in (100, 20_000, 40_000):
        x, y = page.evaluate(
            f"""i => {{ const c = document.querySelector("{MAP}"), l = c._fullLayout;
            const [t] = c._fullData, b = c.getBoundingClientRect(), k = i % t.x.length;
            return [b.x + l.xaxis._offset + l.xaxis.l2p(t.x[k]),
                    b.y + l.yaxis._offset + l.yaxis.l2p(t.y[k])]; }}""",
            index,
        )
        page.mouse.move(x - 20, y)
        page.mouse.move(x, y, steps=3)
        page.wait_for_timeout(600)
        before = page.url
        begun = time.perf_counter()
        page.mouse.click(x, y)
        page.wait_for_function("before => location.href !== before", arg=before, polling=10)
        page.wait_for_function(IMAGES_DRAWN, arg=NEAR, polling=10)
        seconds.append(time.perf_counter() - begun)
        page.wait_for_timeout(300)
    page.close()
    return megabytes, seconds


def main() -> None:
    """Build, drive and report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--items", type=int, default=60_502)
    parser.add_argument("--runs", type=int, default=6)
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "app-benchmark")
    options = parser.parse_args()
    build(options.folder, options.items, options.runs)
    process, address = start(options.folder)
    with tempfile.TemporaryDirectory() as root:
        Path(root, "app.py").write_text(BARE, encoding="utf-8")
        bare, bare_address = start(options.folder, Path(root))
        try:
            measure(process, address, bare_address, LOSSES[: options.runs])
        finally:
            for each in (process, bare):
                each.terminate()
                each.wait()


def measure(process: subprocess.Popen, address: str, bare: str, losses: tuple[str, ...]) -> None:
    """Drive the app and print every figure."""
    # A profile on disk, as a user's browser has one: there, scripts are kept compiled.
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as profile:
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=CHROMIUM if Path(CHROMIUM).exists() else None,
            args=["--no-sandbox", "--disable-background-networking", "--enable-unsafe-swiftshader"],
            viewport={"width": 1440, "height": 1000},
        )
        page = context.new_page()
        report("first page, cold server and browser", time_page(page, address, "Overview"), "s", 3)
        page.close()
        time_first_page(context, address, bare)
        page = context.new_page()
        time_page(page, address, "Overview")
        report("switch to Retrieval at once after it", time_switch(page, "Retrieval"), "s", 1)
        time_page(page, address, "Overview")
        page.wait_for_function(FIGURES_DRAWN, polling=20)
        for title, seconds in time_switches(page).items():
            report(f"switch to {title}", seconds, "s", 1)
        megabytes, clicks = measure_map(context, address)
        report("sent for the map page, app code apart", megabytes, "MB", 3)
        report("click on a map point to images, slowest", max(clicks), "s", 0.7)
        for loss in losses:
            for where, title in (("retrieval", "Retrieval"), ("map", "Embedding map")):
                time_page(page, f"{address}/{where}?a={loss}", title)
        report(f"server memory, {len(losses)} runs open", memory(process), "MB", 1024)
        report("  of it not file pages", private_memory(process), "MB", 1024)
        context.close()


if __name__ == "__main__":
    main()
