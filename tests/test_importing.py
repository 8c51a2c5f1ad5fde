"""Embeddings of any framework become a run; whatever is wrong with them is named by its row."""

import h5py
import numpy as np
import pandas as pd
import pytest

from retrieval.errors import UserError
from retrieval.importing import import_run, read_embeddings
from retrieval.runs import open_run

N, D = 12, 5


@pytest.fixture
def vectors():
    centres = np.repeat(np.eye(4, D), 3, axis=0)
    return (centres + 0.1 * np.random.default_rng(0).normal(size=(N, D))).astype(np.float32)


@pytest.fixture
def items(tmp_path):
    table = pd.DataFrame(
        {"path": [f"{i}.jpg" for i in range(N)], "label": np.repeat(list("abcd"), 3)}
    )
    table.to_csv(tmp_path / "items.csv", index=False)
    return tmp_path / "items.csv"


def save(array, path):
    if path.suffix == ".npy":
        np.save(path, array)
    elif path.suffix == ".npz":
        np.savez(path, embeddings=array, other=np.zeros(3))
    elif path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            file["emb"] = array
            file["emb_aug"] = array[:, None]
            file["augmentation_types"] = [b"flip"]
    else:
        pd.DataFrame(array).add_prefix("d").to_parquet(path)
    return path


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5", ".parquet"])
def test_every_format_holds_the_same_numbers(vectors, tmp_path, suffix):
    np.testing.assert_array_equal(read_embeddings(save(vectors, tmp_path / f"e{suffix}")), vectors)


@pytest.mark.filterwarnings("ignore:12 of 12 images")
def test_an_imported_run_is_evaluated_and_opens(vectors, items, tmp_path):
    path, sides = tmp_path / "runs" / "mine" / "torch", [(save(vectors, tmp_path / "e.npy"), items)]
    import_run(path, sides, progress=False)
    run = open_run(path)
    assert run.result()["metrics"]["recall@1"]["value"] == 1.0
    assert list(run.items["label_name"].unique()) == list("abcd")
    assert run.config["settings"] is None
    with pytest.raises(UserError, match="--overwrite"):
        import_run(path, [(tmp_path / "e.npy", items)])


@pytest.mark.filterwarnings("ignore:12 of 12 images")
def test_queries_and_gallery_may_lie_in_files_of_their_own(vectors, items, tmp_path):
    table = pd.read_csv(items)
    table.iloc[::3].to_csv(tmp_path / "q.csv", index=False)
    table.drop(index=table.index[::3]).to_csv(tmp_path / "g.csv", index=False)
    sides = [
        (save(vectors[::3], tmp_path / "q.npy"), tmp_path / "q.csv"),
        (save(np.delete(vectors, np.s_[::3], axis=0), tmp_path / "g.npy"), tmp_path / "g.csv"),
    ]
    run = open_run(import_run(tmp_path / "runs" / "mine" / "two", sides, progress=False))
    result = run.result()
    assert result["protocol"]["name"] == "query_gallery"
    assert (result["n_queries"], result["n_gallery"]) == (4, 8)
    assert result["metrics"]["recall@1"]["value"] == 1.0


def spoiled(vectors, row):
    vectors[row, 2] = np.nan
    return vectors


@pytest.mark.parametrize(
    ("change", "table", "message"),
    [
        (lambda v: spoiled(v, 7), {}, "row 7 holds NaN or Inf"),
        (lambda v: v[:-1], {}, r"11 rows.*12 items"),
        (lambda v: v[:, 0], {}, r"needs \(items, dimensions\)"),
        (lambda v: v, {"role": ["both"] * 11 + ["qeury"]}, "row 13: role 'qeury'"),
        (lambda v: v, {"label": ["a"] * 4 + [""] + ["b"] * 7}, "row 6: the label is empty"),
        (lambda v: v, {"id": [1, 2, 3, 1, *range(4, 12)]}, "id '1' occurs twice"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_made(
    vectors, items, tmp_path, change, table, message
):
    pd.read_csv(items).assign(**table).to_csv(items, index=False)
    source = save(change(vectors), tmp_path / "e.npy")
    with pytest.raises(UserError, match=message) as caught:
        import_run(tmp_path / "runs" / "mine" / "bad", [(source, items)], progress=False)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "runs").exists()


def test_pickles_and_unknown_files_are_refused(tmp_path):
    np.save(tmp_path / "objects.npy", np.array([{}, {}]), allow_pickle=True)
    with pytest.raises(UserError, match=r"cannot be read as \.npy"):
        read_embeddings(tmp_path / "objects.npy")
    with pytest.raises(UserError, match=r"unknown suffix of embeddings '.pkl'"):
        read_embeddings(tmp_path / "e.pkl")
    with pytest.raises(UserError, match="no embeddings file at"):
        read_embeddings(tmp_path / "none.npy")
