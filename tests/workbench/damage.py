"""Ways to damage a run folder."""

import json
import shutil

import numpy as np

from retrieval.runs.run import Run
from workbench.data.loading import load_runs


def break_run(path, how: str) -> None:
    if how == "no metrics":
        (path / "metrics.json").unlink()
    elif how == "cut embeddings":
        data = (path / "embeddings.npy").read_bytes()
        (path / "embeddings.npy").write_bytes(data[: len(data) // 2])
    elif how == "newer schema":
        metrics = json.loads((path / "metrics.json").read_text())
        (path / "metrics.json").write_text(json.dumps(metrics | {"schema": 99}))
    elif how == "metrics are a list":
        (path / "metrics.json").write_text("[]")
    elif how == "damaged neighbors":
        (path / "neighbours.npz").write_bytes(b"PK nothing")
    elif how == "neighbors outside":
        arrays = dict(np.load(path / "neighbours.npz"))
        arrays["query_gallery/ids"] = arrays["query_gallery/ids"] + 1000
        np.savez(path / "neighbours.npz", **arrays)
    elif how == "config is no mapping":
        (path / "config.yaml").write_text("- 1\n- 2\n")
    elif how == "foreign folder":
        shutil.rmtree(path)
        path.mkdir()
        (path / "photo.jpg").write_bytes(b"")


def opening(run: Run) -> str:
    """Return why a run cannot be opened, or nothing if it can."""
    _, broken = load_runs(run.path.parents[1])
    return broken[0].reason if broken else ""
