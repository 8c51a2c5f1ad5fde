"""Run folders for the app's tests, and one server with one browser for its gestures."""

import contextlib
import functools
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import streamlit
from streamlit import config
from streamlit.components.v2 import manifest_scanner
from streamlit.runtime.scriptrunner import script_runner

from retrieval.runs.run import Run
from tests.workbench.run_factory import photo_tiles, pixel_embeddings, write_run
from workbench.data import network

ROOT = Path(__file__).parents[2]
CHROMIUM = "/usr/bin/chromium"


@pytest.fixture(scope="session", autouse=True)
def _no_collection():
    """Streamlit collects garbage after every page: seconds each with all that tests import.

    Twice where Keras is loaded, whose session it clears.
    """
    config.set_option("runner.postScriptGC", False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(script_runner, "_clean_problem_modules", lambda: None)
        patch.setattr(network, "freeze_garbage_collection", lambda: None)
        yield
    config.set_option("runner.postScriptGC", True)


@pytest.fixture(scope="session", autouse=True)
def _components():
    """Streamlit reads the metadata of every installed package for every page: let it do so once."""
    once = functools.cache(manifest_scanner.scan_component_manifests)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", once)
        yield


@pytest.fixture(scope="session")
def photo_root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("photos")


@pytest.fixture(scope="session")
def photos(photo_root):
    """Catalog of 216 crops of two real photographs, 36 classes."""
    return photo_tiles(photo_root)


@pytest.fixture(scope="session")
def vectors(photos, photo_root) -> np.ndarray:
    return pixel_embeddings([str(photo_root / p) for p in photos["path"]])


@pytest.fixture(scope="session")
def runs_root(tmp_path_factory, photos, photo_root) -> Path:
    """Three losses, one of them with two seeds, on the same photographs."""
    root = tmp_path_factory.mktemp("runs")
    paths = [str(photo_root / p) for p in photos["path"]]
    for loss, seed, noise in (
        ("semi_hard_triplet", 0, 0.0),
        ("contrastive_loss", 0, 0.6),
        ("contrastive_loss", 1, 0.65),
        ("lifted_loss", 0, 1.2),
    ):
        embeddings = pixel_embeddings(paths, noise=noise, seed=seed)
        write_run(
            root / "photos" / f"{loss}-s{seed}",
            photos,
            embeddings,
            photo_root,
            loss=loss,
            seed=seed,
        )
    return root


@pytest.fixture
def served(runs_root, monkeypatch) -> None:
    """Let the app read the runs of ``runs_root``."""
    monkeypatch.setenv("RETRIEVAL_RUNS", str(runs_root))


@pytest.fixture
def semi_hard(served, runs_root) -> Run:
    """A run that the app reads."""
    return Run(runs_root / "photos" / "semi_hard_triplet-s0")


@pytest.fixture
def session():
    """The state of a session outside any page, empty at the start and at the end."""
    streamlit.session_state.clear()
    yield streamlit.session_state
    streamlit.session_state.clear()


@pytest.fixture
def make_run(tmp_path, photos, photo_root, vectors):
    """Write a run of the photographs with other items or settings, and open it."""

    def make(name: str, items=photos, dataset: str = "made", **options) -> Run:
        path = tmp_path / "runs" / dataset / name
        return Run(write_run(path, items, vectors[: len(items)], photo_root, **options))

    return make


@pytest.fixture(scope="module")
def template(tmp_path_factory, photos, vectors, photo_root) -> Path:
    return write_run(tmp_path_factory.mktemp("whole") / "made" / "one", photos, vectors, photo_root)


@pytest.fixture
def made(template, tmp_path) -> Run:
    """A whole run of one's own, to be damaged."""
    return Run(shutil.copytree(template, tmp_path / "runs" / "made" / "one"))


@contextlib.contextmanager
def served_app(runs: Path):
    """Run the app on a folder of runs; yield its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless", "true"]
    environment = os.environ | {"RETRIEVAL_RUNS": str(runs)}
    with subprocess.Popen(
        [*command, "--server.port", str(port), "--server.fileWatcherType", "none"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        address = f"http://localhost:{port}"
        for _ in range(150):
            try:
                urllib.request.urlopen(f"{address}/_stcore/health", timeout=1).read()
                break
            except OSError:
                time.sleep(0.2)
        yield address
        process.terminate()


@pytest.fixture(scope="session")
def server(runs_root, tmp_path_factory):
    """Address of one running app."""
    runs = tmp_path_factory.mktemp("served") / "runs"
    shutil.copytree(runs_root, runs)  # notes are written beside the runs
    with served_app(runs) as address:
        yield address


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM if Path(CHROMIUM).exists() else None,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-background-networking",
                "--enable-unsafe-swiftshader",
            ],
        )
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    """A fresh browser page, 1440 px wide; an error in the page's scripts fails the test."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert errors == []
