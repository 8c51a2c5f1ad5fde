"""An optional file of a run that is damaged counts as missing."""

import pytest

from retrieval.runs.run import Run
from tests.workbench.damage import opening
from tests.workbench.driver import open_page
from workbench.data import projections


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00bad", b'"', b"other,columns\n1,2\n"])
def test_a_damaged_history_counts_as_none(made, content):
    (made.path / "history.csv").write_bytes(content)
    assert opening(made) == ""
    assert made.history.empty


def test_a_damaged_projection_counts_as_none(made):
    whole = made.projection
    assert len(whole) == len(made.items)
    for damaged in (whole.head(3), whole.drop(columns="umap_x"), whole.astype(str) + "?"):
        damaged.to_parquet(made.path / "projection.parquet")
        assert Run(made.path).projection is None
    for content in (b"", b"PAR1 nothing PAR1"):
        (made.path / "projection.parquet").write_bytes(content)
        assert Run(made.path).projection is None
        assert opening(made) == ""


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no", b"damaged"])
def test_damaged_maps_during_training_count_as_none(made, content):
    (made.path / "evolution.npz").write_bytes(content)
    assert made.evolution() is None
    assert projections.evolution(made) is None


@pytest.mark.parametrize("file", ["images.bin", "offsets.npy"])
@pytest.mark.parametrize("content", [None, b"", b"damaged"])
def test_damaged_thumbnails_count_as_none(made, file, content):
    assert made.thumbnail(0)
    (made.path / "thumbnails" / file).unlink()
    if content is not None:
        (made.path / "thumbnails" / file).write_bytes(content)
    assert Run(made.path).thumbnail(0) is None


def test_damaged_extras_leave_the_pages_standing(made, monkeypatch):
    (made.path / "history.csv").write_bytes(b"")
    (made.path / "projection.parquet").write_bytes(b"no")
    (made.path / "thumbnails" / "images.bin").unlink()
    monkeypatch.setenv("RETRIEVAL_RUNS", str(made.path.parents[1]))
    open_page()
    assert open_page("map").code[0].value == f"retrieval evaluate {made.path}"
