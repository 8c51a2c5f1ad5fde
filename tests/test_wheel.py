"""The built wheel: it holds every file of the two packages, and opens the app on its own.

It is installed into an empty environment that sees the pinned dependencies of the running one, but
not the checkout, and is run from an empty folder.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.request
import venv
import zipfile
from pathlib import Path

import pytest

from tests.workbench.run_factory import photo_tiles, pixel_embeddings, write_run

pytestmark = pytest.mark.slow  # what the tests share takes long

ROOT = Path(__file__).parents[1]
PACKAGES = ("retrieval", "workbench")
BUILT_FROM = ("pyproject.toml", "README.md", "LICENSE")
OPEN_EVERY_PAGE = """
import importlib.util
import json

import retrieval
import workbench
from streamlit.testing.v1 import AppTest
from workbench.pages import PAGES
from workbench.session.navigation import TARGET

script = importlib.util.find_spec("workbench.shell.main").origin
pages = {}
for name in PAGES:
    app = AppTest.from_file(script, default_timeout=120)
    app.session_state[TARGET.key] = name
    app.run()
    pages[name] = [error.message for error in app.exception]
print(json.dumps({"packages": [retrieval.__file__, workbench.__file__], "pages": pages}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built from a copy, so that the checkout gets no build folder."""
    source = tmp_path_factory.mktemp("source")
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, source / package, ignore=ignored)
    for name in BUILT_FROM:
        shutil.copy(ROOT / name, source)
    run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "."],
        cwd=source,
    )
    (built,) = source.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory) -> Path:
    """The interpreter of an environment that holds the wheel and nothing else of this project."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    interpreter = folder / "bin" / "python"
    install = ["install", "--no-deps", "--no-index", "--quiet", str(wheel)]
    run([sys.executable, "-m", "pip", "--python", str(interpreter), *install], cwd=folder)
    paths = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (packages,) = folder.glob("lib/python*/site-packages")
    # A folder on the path: unlike in a site folder, no .pth file in it, and so no editable install
    # of this project, takes effect.
    (packages / "dependencies.pth").write_text("\n".join(sorted(paths)))
    return interpreter


def run(command: list[str], **options) -> str:
    """Run a command outside the checkout and return what it prints."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment |= options.pop("env", {})
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_holds_every_file_of_the_packages_and_no_other(wheel):
    there = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packed == there


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """A folder with one run."""
    folder = tmp_path_factory.mktemp("data")
    items = photo_tiles(folder / "photos")
    embeddings = pixel_embeddings([str(folder / "photos" / path) for path in items["path"]])
    write_run(folder / "runs" / "photos" / "one", items, embeddings, folder / "photos")
    return folder / "runs"


def test_the_installed_command_writes_a_report_with_its_page(python, runs, tmp_path):
    command = [str(python.with_name("retrieval")), "report", str(runs / "photos" / "one")]
    run([*command, "--out", "report"], cwd=tmp_path)
    assert "Plotly.newPlot" in (tmp_path / "report" / "report.html").read_text(encoding="utf-8")


def test_the_installed_app_opens_every_page_outside_the_checkout(python, runs, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    output = run(
        [str(python), "-c", OPEN_EVERY_PAGE],
        cwd=empty,
        env={"RETRIEVAL_RUNS": str(runs)},
    )
    found = json.loads(output.splitlines()[-1])
    environment = python.parents[1].resolve()
    for file in found["packages"]:
        assert Path(file).resolve().is_relative_to(environment)
    assert len(found["pages"]) >= 6
    assert all(errors == [] for errors in found["pages"].values()), found["pages"]
    assert list(empty.iterdir()) == []


def test_the_command_serves_the_app_from_any_folder(python, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--runs", str(tmp_path), "--port", str(port), "--server.headless=true"]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    with subprocess.Popen(
        [str(python), "-m", "retrieval.cli", "app", *options],
        cwd=tmp_path,
        env=environment,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            page = fetch(f"http://localhost:{port}/")
        finally:
            os.killpg(process.pid, signal.SIGINT)
        assert "history.pushState" in page  # the middleware of the app, not Streamlit alone
        printed = process.stdout.read()
    assert f"http://localhost:{port}" in printed  # the address of its config.toml
    assert "Traceback" not in printed
    assert "No runtime found" not in printed  # ``st.cache_data`` in what is imported at the start


def fetch(url: str) -> str:
    """Return the page at an address, once it is served."""
    for _ in range(300):
        try:
            request = urllib.request.Request(url, headers={"accept": "text/html"})
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.read().decode()
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"{url} is not served")
