"""The documentation builds without a warning, and says what the code says."""

import subprocess
import sys

import pytest

import retrieval
from retrieval.losses import LOSSES
from tests.docs.helpers import ROOT

pytestmark = pytest.mark.slow  # what the tests share takes long


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


def test_the_gallery_has_every_loss_with_its_formula_and_source(site):
    page = (site / "losses" / "index.html").read_text(encoding="utf-8")
    for name in LOSSES:
        assert f'id="{name}"' in page, name
    assert page.count("arithmatex") >= len(LOSSES)
    assert "\\begin{gathered}" in page  # two equations stand one below the other


def test_every_public_name_is_on_the_first_page_of_the_reference():
    page = (ROOT / "docs" / "api" / "index.md").read_text(encoding="utf-8")
    assert [name for name in retrieval.__all__ if f"`{name}`" not in page] == []


def test_every_room_has_its_reference(site):
    for room in ("datasets", "losses", "evaluation", "runs", "settings", "training", "workbench"):
        assert (site / "api" / room / "index.html").is_file()
