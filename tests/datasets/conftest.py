import pytest

from retrieval.datasets.catalog import make_catalog
from tests.datasets.flaky_server import FlakyServer
from tests.datasets.helpers import write_classes


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    """Keep each test's caches and relative paths to itself, and its requests off any proxy."""
    monkeypatch.setenv("RETRIEVAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)


@pytest.fixture
def photos(tmp_path):
    """A catalog of small photos: 3 train and 3 test classes of 4 images, in 2 groups."""
    root = write_classes(tmp_path / "photos", {f"kind {c}": 4 for c in "abcdef"})
    names = [f"kind {c}" for c in "abcdef" for _ in range(4)]
    labels = [n // 4 for n in range(24)]
    return make_catalog(
        "photos",
        root,
        path=[f"{name}/{n % 4}.jpg" for n, name in enumerate(names)],
        label=labels,
        label_name=names,
        split=["train"] * 12 + ["test"] * 12,
        super_label=[label % 2 for label in labels],
        super_name=[("Fruit", "Soft Drinks")[label % 2] for label in labels],
    )


@pytest.fixture
def server():
    with FlakyServer() as running:
        yield running
