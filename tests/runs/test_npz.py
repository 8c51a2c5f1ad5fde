"""Arrays of an ``.npz`` file as memory maps."""

import zipfile

import numpy as np
import pytest

from retrieval.runs.npz import map_npz

ARRAYS = {
    "a/ids": np.arange(60, dtype=np.int32).reshape(10, 6),
    "a/similarities": np.linspace(0, 1, 7, dtype=np.float32),
    "turned": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    "none": np.zeros((0, 4), np.int64),
    "single": np.array(3.5),
}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_every_array_comes_back_as_it_was(tmp_path, save):
    save(tmp_path / "x.npz", **ARRAYS)
    found = map_npz(tmp_path / "x.npz")
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_stored_arrays_are_mapped_and_cannot_be_written(tmp_path):
    np.savez(tmp_path / "x.npz", **ARRAYS)
    ids = map_npz(tmp_path / "x.npz")["a/ids"]
    assert isinstance(ids, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        ids[0, 0] = 1


def test_a_file_replaced_while_mapped_keeps_its_old_content(tmp_path):
    np.savez(tmp_path / "x.npz", **ARRAYS)
    ids = map_npz(tmp_path / "x.npz")["a/ids"]
    np.savez(tmp_path / "y.npz", **{"a/ids": np.zeros((10, 6), np.int32)})
    (tmp_path / "y.npz").replace(tmp_path / "x.npz")
    assert ids[9, 5] == 59


def test_damage_is_an_error_not_wrong_numbers(tmp_path):
    np.savez(tmp_path / "x.npz", **ARRAYS)
    whole = (tmp_path / "x.npz").read_bytes()
    (tmp_path / "x.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(zipfile.BadZipFile):
        map_npz(tmp_path / "x.npz")
    with zipfile.ZipFile(tmp_path / "z.npz", "w") as archive:
        archive.writestr("a.npy", "no array at all")
    with pytest.raises(ValueError, match="magic"):
        map_npz(tmp_path / "z.npz")
    np.savez(tmp_path / "o.npz", a=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="Python objects"):
        map_npz(tmp_path / "o.npz")
