"""The how-to pages, followed to the letter on a copy of the checkout."""

import pytest

from tests.docs.helpers import ROOT, apply_page, blocks_of, copy_checkout, run_in
from tests.photos import write_colors

PAGES = ROOT / "docs" / "how-to"
PYTEST = ("pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", "-o", "addopts=")


@pytest.fixture
def checkout(tmp_path):
    return copy_checkout(tmp_path / "checkout")


def test_a_loss(checkout, tmp_path):
    page = PAGES / "add-a-loss.md"
    apply_page(page, checkout)
    said = run_in(
        checkout,
        *PYTEST,
        "tests/losses/test_against_oracles.py",
        "tests/losses/test_degenerate.py",
        "tests/losses/test_docstrings.py",
        "tests/losses/test_keras.py",
        "tests/losses/test_registry.py",
        "-k",
        "soft_nearest_neighbor",
    )
    assert int(said.rsplit(" passed", 1)[0].split()[-1]) > 10
    photos = write_colors(tmp_path / "photos", seed=0, scale=30)
    run_in(
        checkout, "retrieval.cli", "train", "--dataset=folder", f"--data={photos}",
        "--loss=soft_nearest_neighbor", "--loss-option=temperature=0.5", "--backbone=conv4",
        "--weights=none", "--size=16", "--steps=3", "--classes-per-batch=3",
        f"--runs={tmp_path / 'runs'}",
    )  # fmt: skip
    assert (tmp_path / "runs" / "folder" / "soft_nearest_neighbor" / "metrics.json").is_file()
    (checkout / "use.py").write_text(blocks_of(page)[-1], encoding="utf-8")
    assert float(run_in(checkout, "use").split()[-1]) > 0


@pytest.mark.parametrize(
    ("page", "others"),
    [
        ("add-a-dataset", ["tests/datasets/test_registry.py"]),
        ("add-a-metric", ["tests/evaluation/test_metrics.py"]),
        ("add-a-backbone", []),
        ("add-a-page", ["tests/workbench/pages/test_alt_texts.py"]),
    ],
)
def test_anything_else(checkout, page, others):
    new = apply_page(PAGES / f"{page}.md", checkout)
    tests = [str(path.relative_to(checkout)) for path in new if path.name.startswith("test_")]
    assert tests, "the page writes a test"
    run_in(checkout, *PYTEST, *tests, *others)


def test_every_page_is_followed():
    followed = {"add-a-loss", "add-a-dataset", "add-a-metric", "add-a-backbone", "add-a-page"}
    assert {path.stem for path in PAGES.glob("*.md")} == followed
