"""Every format gives the same matrix; an invalid file is refused by name and row."""

import os
import pickle
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from retrieval.errors import UserError
from retrieval.runs.embedding_files import read_embeddings

FILES = Path(__file__).parent / "files"  # written by torch.save: tensor, half, dict, parameter
X = (np.arange(48, dtype=np.float32) / 8 - 2).reshape(12, 4)


def npy(path, x):
    np.save(path.with_suffix(".npy"), x)
    return path.with_suffix(".npy")


def npz(path, x):
    np.savez(path.with_suffix(".npz"), embeddings=x, labels=np.arange(len(x)))
    return path.with_suffix(".npz")


def hdf5(path, x):
    with h5py.File(path.with_suffix(".h5"), "w") as file:
        file["emb"] = x
        file["emb_aug"] = np.zeros((2, *x.shape))
        file["augmentation_types"] = np.array([b"original", b"flip"])
    return path.with_suffix(".h5")


def parquet(path, x):
    frame = pd.DataFrame(x, columns=[f"d{i}" for i in range(x.shape[1])])
    frame.to_parquet(path.with_suffix(".parquet"))
    return path.with_suffix(".parquet")


def parquet_lists(path, x):
    pd.DataFrame({"embedding": list(x)}).to_parquet(path.with_suffix(".parquet"))
    return path.with_suffix(".parquet")


WRITERS = (npy, npz, hdf5, parquet, parquet_lists)


def refused(path):
    with pytest.raises(UserError) as caught:
        read_embeddings(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_format_gives_the_matrix(tmp_path, write, dtype):
    found = read_embeddings(write(tmp_path / "e", X.astype(dtype)))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, X)


@pytest.mark.parametrize("name", ["tensor.pt", "half_legacy.pth", "dict.pt", "grad.pt"])
def test_files_of_torch_save(name):
    np.testing.assert_array_equal(read_embeddings(FILES / name), X)


def write_views(path, x, axis, names=None):
    """Write x and x + 2 as the views of a file without a mean."""
    with h5py.File(path, "w") as file:
        file["emb_aug"] = np.stack([x, x + 2], axis=axis)
        if names is not None:
            file["augmentation_types"] = np.array(names, "S")
    return path


@pytest.mark.parametrize("axis", [0, 1])  # 0 is the baseline's
def test_views_without_their_mean_are_averaged_over_the_axis_of_their_names(tmp_path, axis):
    path = write_views(tmp_path / "e.h5", X, axis, ["original", "flip"])
    np.testing.assert_array_equal(read_embeddings(path), X + 1)


@pytest.mark.parametrize("axis", [0, 1])
def test_views_without_names_are_averaged_if_the_number_of_items_is_known(tmp_path, axis):
    path = write_views(tmp_path / "e.h5", X, axis)
    np.testing.assert_array_equal(read_embeddings(path, items=12), X + 1)


def test_axes_that_cannot_be_told_apart_are_refused(tmp_path):
    path = tmp_path / "e.h5"
    assert "augmentation_types" in refused(write_views(path, X, 0))
    names = ["original", "flip"]
    message = refused(write_views(path, X[:2], 0, names))  # two items, two views
    assert "(2, 2, 4)" in message
    assert "'emb'" in message
    with pytest.raises(UserError, match="cannot be told"):
        read_embeddings(path, items=2)
    # Names would not help where there are as many items as views, and so are not asked for.
    assert "augmentation_types" not in refused(write_views(path, X[:2], 0))


def test_a_number_of_names_that_fits_no_axis_is_refused(tmp_path):
    message = refused(write_views(tmp_path / "e.h5", X, 0, ["original"]))
    assert "does not fit 1 augmentation_types" in message
    with h5py.File(tmp_path / "e.h5", "w") as file:
        file["emb_aug"] = X
    assert "(views, items, dimensions)" in refused(tmp_path / "e.h5")


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize(("value", "what"), [(np.nan, "NaN"), (np.inf, "Inf"), (1e39, "Inf")])
def test_first_row_that_is_not_finite_is_named(tmp_path, write, value, what):
    bad = X.astype(np.float64)
    bad[5, 2] = bad[9, 0] = value
    message = refused(write(tmp_path / "e", bad))
    assert "row 5 (of 0 to 11)" in message
    assert what in message


def test_a_pickle_that_calls_a_function_does_not_run(tmp_path):
    class Call:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'ran'}",)

    path = tmp_path / "e.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Call(), protocol=2))
    assert "system" in refused(path)
    np.save(tmp_path / "o.npy", np.array([Call()], object), allow_pickle=True)
    refused(tmp_path / "o.npy")
    assert not (tmp_path / "ran").exists()


def test_bad_files(tmp_path):
    assert "no such file" in refused(tmp_path / "none.npy")
    (tmp_path / "e.txt").write_text("1 2 3")
    assert ".npy, .npz, .h5" in refused(tmp_path / "e.txt")
    for suffix in (".npy", ".npz", ".h5", ".parquet", ".pt"):
        path = tmp_path / f"damaged{suffix}"
        path.write_bytes(b"not what it says")
        refused(path)
    np.save(tmp_path / "cube.npy", np.zeros((2, 3, 4)))
    assert "shape (2, 3, 4)" in refused(tmp_path / "cube.npy")
    np.save(tmp_path / "none.npy", np.zeros((0, 4)))
    assert "shape (0, 4)" in refused(tmp_path / "none.npy")
    np.save(tmp_path / "words.npy", np.array([["a"]]))
    assert "real numbers" in refused(tmp_path / "words.npy")
    np.savez(tmp_path / "two.npz", a=X, b=X)
    assert "call one array 'embeddings'" in refused(tmp_path / "two.npz")
    np.savez(
        tmp_path / "names.npz", names=np.array([{}], object), x=X
    )  # needs no pickle to be read
    np.testing.assert_array_equal(read_embeddings(tmp_path / "names.npz"), X)
    np.savez(tmp_path / "objects.npz", embeddings=np.array([[{}]], object))
    refused(tmp_path / "objects.npz")
    ragged = pd.DataFrame({"e": [[1.0, 2], [3.0, 4], [5.0]]})
    ragged.to_parquet(tmp_path / "ragged.parquet")
    assert "row 2 has 1 dimensions, row 0 has 2" in refused(tmp_path / "ragged.parquet")


@pytest.mark.parametrize("value", [h5py.Empty("f4"), "words", 1.5, [b"a"]])
def test_what_is_no_matrix_in_an_hdf5_file_is_refused(tmp_path, value):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file["emb"] = value
    refused(path)


def test_arrays_in_groups_of_an_hdf5_file_are_named(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file["model/test/emb"] = X
    assert f"model/test/emb {X.shape}" in refused(path)


def test_arrays_in_other_files_are_not_read(tmp_path):
    secret = tmp_path / "secret.bin"
    secret.write_bytes(X.tobytes())
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["emb"] = X
    makers = {
        "external link": lambda file: file.update(emb=h5py.ExternalLink("other.h5", "emb")),
        "soft link": lambda file: file.update(emb=h5py.SoftLink("/there"), there=X),
        "external storage": lambda file: file.create_dataset(
            "emb", X.shape, "f4", external=[(str(secret), 0, X.nbytes)]
        ),
        "virtual": lambda file: file.create_virtual_dataset("emb", virtual_layout()),
    }

    def virtual_layout():
        layout = h5py.VirtualLayout(X.shape, "f4")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "emb", X.shape)
        return layout

    for name, make in makers.items():
        path = tmp_path / f"{name}.h5"
        with h5py.File(path, "w") as file:
            make(file)
        assert "copy the array into the file" in refused(path), name
        if name != "soft link":  # beside an embedding of its own, too
            with h5py.File(path, "a") as file:
                file.move("emb", "aside")
                file["emb"] = X
            assert "copy the array into the file" in refused(path), name
