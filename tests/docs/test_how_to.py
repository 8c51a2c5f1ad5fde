"""The how-to pages, followed to the letter on a copy of the checkout.

The copy has everything that the pages add, and one process tests it: TensorFlow takes long to load.
"""

import pytest

from tests.docs.helpers import ROOT, apply_page, blocks_of, copy_checkout, run_in
from tests.photos import write_colors

PAGES = sorted((ROOT / "docs" / "how-to").glob("add-*.md"))
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
# A test beside those of the pages: the example of a page prints a loss, and the new loss trains.
TRAINING = """
import sys

import pytest
from retrieval.cli import main


def test_the_new_loss_trains(capsys, monkeypatch):
    exec({use!r}, {{}})
    assert float(capsys.readouterr().out.split()[0]) > 0
    monkeypatch.setattr(sys, "argv", {words!r})
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0
"""


def write_training_test(checkout, photos, runs):
    """Write a test that trains the new loss, called and on the command line; return its path."""
    words = [
        "retrieval", "train", "--dataset=folder", f"--data={photos}",
        "--loss=soft_nearest_neighbor", "--loss-option=temperature=0.5", "--backbone=conv4",
        "--weights=none", "--size=16", "--steps=3", "--classes-per-batch=3", f"--runs={runs}",
    ]  # fmt: skip
    use = blocks_of(ROOT / "docs" / "how-to" / "add-a-loss.md")[-1]
    text = TRAINING.format(use=use, words=words)
    (checkout / "tests" / "test_training.py").write_text(text, encoding="utf-8")
    return "tests/test_training.py"


@pytest.mark.slow
def test_every_addition_passes_its_tests_and_the_new_loss_trains(tmp_path):
    checkout = copy_checkout(tmp_path / "checkout")
    added = {page.stem: apply_page(page, checkout) for page in PAGES}
    written = [
        str(path.relative_to(checkout))
        for paths in added.values()
        for path in paths
        if path.name.startswith("test_")
    ]
    assert len(added) == 5
    assert len(written) >= 4  # that of a new loss is an oracle
    runs = tmp_path / "runs"
    photos = write_colors(tmp_path / "photos", seed=0, scale=30)
    written.append(write_training_test(checkout, photos, runs))
    names = " or ".join(path.rpartition("/")[2] for path in written)
    wanted = f"soft_nearest_neighbor or SoftNearestNeighbor or test_registry or {names}"
    wanted += " or test_metrics or test_alt_texts"
    said = run_in(checkout, *PYTEST, *written, *PARAMETRIZED, "-k", wanted)
    assert "failed" not in said
    assert int(said.rsplit(" passed", 1)[0].split()[-1]) > 40
    assert (runs / "folder" / "soft_nearest_neighbor" / "metrics.json").is_file()
