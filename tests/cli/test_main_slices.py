"""``retrieval slices``: columns, figures and files of one run or of two."""

import json

import numpy as np
import pandas as pd
import pytest

from tests.cli.helpers import one_line

CLASSES, EACH = 30, 6
N = CLASSES * EACH


@pytest.fixture
def two_runs(retrieval, tmp_path, monkeypatch):
    """Two imports on the same items, of 30 classes in two stores; the second is noisier."""
    monkeypatch.setattr(  # compiling UMAP takes longer than all the rest
        "retrieval.runs.evaluate.project", lambda x, *_, **__: pd.DataFrame(index=range(len(x)))
    )
    labels = np.repeat(np.arange(CLASSES), EACH)
    rng = np.random.default_rng(0)
    centers, noise = rng.standard_normal((CLASSES, 8)), rng.standard_normal((N, 8))
    paths = [f"{'north' if i % 2 else 'south'}/{i}.jpg" for i in range(N)]
    pd.DataFrame({"path": paths, "label": labels}).to_csv(tmp_path / "items.csv", index=False)
    for name, scale in (("clear", 0.5), ("noisy", 1.2)):
        np.save(tmp_path / f"{name}.npy", (centers[labels] + scale * noise).astype(np.float32))
        code, _, err = retrieval(
            "import", "--embeddings", f"{name}.npy", "--items", "items.csv", "--dataset", "d"
        )
        assert not code, err
    return "runs/d/clear", "runs/d/noisy"


def test_columns_then_slices_then_files(retrieval, two_runs, tmp_path):
    code, out, _ = retrieval("slices", two_runs[0])
    assert not code
    assert "folder_1" in out
    assert "north, south" in out
    code, out, _ = retrieval(
        "slices", *two_runs, "--by", "folder_1", "--metric", "map@r", "--json", "s.json",
        "--csv", "s.csv",
    )  # fmt: skip
    assert not code
    assert "MAP@R of 180 queries of 30 classes" in out
    assert "clear is furthest ahead of noisy in folder_1" in out
    found = json.loads((tmp_path / "s.json").read_text())
    table = pd.read_csv(tmp_path / "s.csv")
    assert [each["slice"] for each in found["slices"]] == table["slice"].tolist()
    assert table["difference"].tolist() == pytest.approx(
        [each["difference"] for each in found["slices"]]
    )
    assert (table["metric"] == "map@r").all()
    code, out, _ = retrieval("slices", two_runs[0], "--by", "folder_1")
    assert not code
    assert "Slice minus rest" in out


def test_what_cannot_be_sliced_is_one_line(retrieval, two_runs):
    for words, says in (
        (("--by", "folder_9"), "folder_1"),
        (("--by", "folder_1", "--metric", "nmi"), "no score per query"),
        (("--by", "folder_1", "--metric", "recal@1"), "recall"),
        (("--by", "folder_1", "--protocol", "cross"), "cross"),
        (("--by", "folder_1", "--bins", "1"), "bins"),
        (("--json", "s.json"), "--by"),
    ):
        assert says in one_line(retrieval("slices", two_runs[0], *words))
