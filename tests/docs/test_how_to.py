"""The how-to pages, followed to the letter on a copy of the checkout."""

import pytest

from tests.docs.helpers import ROOT, apply_page, blocks_of, copy_checkout, run_in
from tests.photos import write_colors

# One copy with everything that the pages add: a process that loads TensorFlow takes long to start.
pytestmark = pytest.mark.xdist_group("how-to")

PAGES = sorted((ROOT / "docs" / "how-to").glob("*.md"))
PYTEST = ("pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-o", "addopts=")
# Tests of the project that must hold for what a page adds, beside those that the page writes.
PARAMETRIZED = (
    "tests/losses/test_against_oracles.py",
    "tests/losses/test_degenerate.py",
    "tests/losses/test_docstrings.py",
    "tests/losses/test_invariances.py",
    "tests/datasets/test_registry.py",
    "tests/evaluation/test_metrics.py",
    "tests/workbench/pages/test_alt_texts.py",
)


@pytest.fixture(scope="module")
def new_tests():
    """The tests that the pages write, filled in by ``checkout``: page -> paths."""
    return {}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory, new_tests):
    copy = copy_checkout(tmp_path_factory.mktemp("how-to") / "checkout")
    for page in PAGES:
        new = [path.relative_to(copy) for path in apply_page(page, copy)]
        new_tests[page.stem] = [str(path) for path in new if path.name.startswith("test_")]
    return copy


def test_every_addition_passes_its_tests(checkout, new_tests):
    assert len(new_tests) == 5
    assert all(new_tests[page] for page in new_tests if page != "add-a-loss")  # that has an oracle
    written = [path for paths in new_tests.values() for path in paths]
    names = " or ".join(path.rpartition("/")[2] for path in written)
    wanted = f"soft_nearest_neighbor or SoftNearestNeighbor or test_registry or {names}"
    wanted += " or test_metrics or test_alt_texts"
    said = run_in(checkout, *PYTEST, *written, *PARAMETRIZED, "-k", wanted)
    assert "failed" not in said
    assert int(said.rsplit(" passed", 1)[0].split()[-1]) > 40


def test_the_new_loss_trains(checkout, tmp_path):
    photos = write_colors(tmp_path / "photos", seed=0, scale=30)
    words = [
        "retrieval", "train", "--dataset=folder", f"--data={photos}",
        "--loss=soft_nearest_neighbor", "--loss-option=temperature=0.5", "--backbone=conv4",
        "--weights=none", "--size=16", "--steps=3", "--classes-per-batch=3",
        f"--runs={tmp_path / 'runs'}",
    ]  # fmt: skip
    use = blocks_of(ROOT / "docs" / "how-to" / "add-a-loss.md")[-1]
    train = f"import sys\nfrom retrieval.cli import main\nsys.argv = {words!r}\nmain()\n"
    (checkout / "follow.py").write_text(use + train, encoding="utf-8")
    assert float(run_in(checkout, "follow").split()[0]) > 0
    assert (tmp_path / "runs" / "folder" / "soft_nearest_neighbor" / "metrics.json").is_file()
