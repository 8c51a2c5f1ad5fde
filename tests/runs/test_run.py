"""Reading, listing and publishing run folders."""

import json

import numpy as np
import pandas as pd
import pytest
import yaml

from retrieval.errors import UserError
from retrieval.evaluation.protocol import Protocol
from retrieval.runs.places import partial_path
from retrieval.runs.run import Run
from retrieval.runs.store import BrokenRun, list_runs, open_run, publish


def make_folder(path, n=4):
    """Write the smallest valid run."""
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(yaml.safe_dump({"schema": 1, "settings": None}))
    items = pd.DataFrame(
        {
            "item": range(n),
            "path": [f"{i}.jpg" for i in range(n)],
            "label": 0,
            "label_name": "a",
            "split": "test",
            "role": "both",
        }
    )
    items.to_parquet(path / "items.parquet")
    np.save(path / "embeddings.npy", np.eye(n, 3, dtype=np.float32))
    ids = np.zeros((n, 1), np.int32)
    np.savez(
        path / "neighbours.npz",
        **{
            "leave_one_out/queries": np.arange(n, dtype=np.int32),
            "leave_one_out/ids": ids,
            "leave_one_out/similarities": ids.astype(np.float32),
            "leave_one_out/first_hit": np.ones(n, np.int32),
            "leave_one_out/first_hit_item": ids[:, 0],
        },
    )
    protocol = Protocol(
        name="leave_one_out",
        rule="leave-one-out",
        distance="cosine",
        normalized=True,
        no_positive="exclude",
        ties="by index",
        kmeans="none",
        seed=0,
        interval="none",
        n_items=n,
        n_queries=n,
        n_gallery=n,
        n_classes=1,
        n_without_positive=0,
        dimension=3,
    )
    (path / "metrics.json").write_text(
        json.dumps(
            {
                "schema": 1,
                "primary": "leave_one_out",
                "results": [
                    {
                        "protocol": protocol.to_dict() | {"title": "leave-one-out"},
                        "metrics": {},
                    }
                ],
            }
        )
    )
    return path


def test_a_complete_run_opens_and_its_arrays_are_read_only(tmp_path):
    run = open_run(make_folder(tmp_path / "birds" / "npairs_loss"))
    assert (run.dataset, run.name, len(run.items)) == ("birds", "npairs_loss", 4)
    assert run.neighbors().ids.shape == (4, 1)
    with pytest.raises(ValueError, match="read-only"):
        run.neighbors().ids[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        run.embeddings[0] = 1
    with pytest.raises(UserError, match="'query_gallery'"):
        run.neighbors("query_gallery")
    assert run.thumbnail(0) is None
    assert run.projection is None


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda p: (p / "neighbours.npz").unlink(), "neighbours.npz is missing"),
        (lambda p: (p / "metrics.json").write_text("{"), "damaged"),
        (lambda p: (p / "items.parquet").write_bytes(b"no"), "damaged"),
        (
            lambda p: np.save(p / "embeddings.npy", np.zeros((3, 2), np.float32)),
            "4 items but 3 embeddings",
        ),
        (lambda p: (p / "config.yaml").write_text("schema: 99"), "schema 99 is newer"),
    ],
)
def test_a_damaged_run_is_listed_with_its_reason(tmp_path, damage, reason):
    make_folder(tmp_path / "birds" / "whole")
    damage(make_folder(tmp_path / "birds" / "torn"))
    runs = {r.path.name: r for r in list_runs(tmp_path)}
    assert isinstance(runs["whole"], Run)
    assert isinstance(runs["torn"], BrokenRun)
    assert reason in runs["torn"].reason
    assert "\n" not in runs["torn"].reason


def test_a_run_without_its_evaluation_is_no_damaged_one(tmp_path):
    path = make_folder(tmp_path / "birds" / "trained")
    for name in ("items.parquet", "embeddings.npy", "neighbours.npz", "metrics.json"):
        (path / name).unlink()
    (torn,) = list_runs(tmp_path)
    assert (torn.is_only_trained, "items.parquet is missing" in torn.reason) == (False, True)
    config = {"schema": 1, "settings": {"loss": "proxy_anchor"}}
    (path / "config.yaml").write_text(yaml.safe_dump(config))
    (path / "checkpoints").mkdir()
    (only,) = list_runs(tmp_path)
    assert only.is_only_trained
    assert f"trained, and not evaluated yet: `retrieval embed {path}`" in only.reason


def test_a_partial_run_is_not_listed_until_published(tmp_path):
    final = tmp_path / "birds" / "npairs_loss"
    make_folder(partial_path(final))
    assert list_runs(tmp_path) == []
    publish(final)
    assert [r.path for r in list_runs(tmp_path)] == [final]
    assert not partial_path(final).exists()


def test_publishing_replaces_an_existing_run_only_with_overwrite(tmp_path):
    final = make_folder(tmp_path / "birds" / "a", n=4)
    make_folder(partial_path(final), n=3)
    with pytest.raises(UserError, match=r"--name .*--overwrite"):
        publish(final)
    assert len(open_run(final).items) == 4
    publish(final, overwrite=True)
    assert len(open_run(final).items) == 3
    assert [p.name for p in final.parent.iterdir()] == ["a"]
