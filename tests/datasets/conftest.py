import numpy as np
import pytest
from PIL import Image

from retrieval.datasets.catalog import make_catalog
from tests.datasets.flaky_server import FlakyServer


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    """Keep each test's caches and relative paths to itself, and its requests off any proxy."""
    monkeypatch.setenv("RETRIEVAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)


def write_photo(path, seed=0, size=(24, 20), **save):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).save(path, **save)
    return path


def write_classes(root, counts):
    """Write ``root/<class>/<n>.jpg`` for {class: count}."""
    for label, (name, count) in enumerate(counts.items()):
        for number in range(count):
            write_photo(root / name / f"{number}.jpg", seed=100 * label + number)
    return root


def below(folder):
    """Every file and folder under a folder, hidden ones too, as relative POSIX paths."""
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*"))


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
