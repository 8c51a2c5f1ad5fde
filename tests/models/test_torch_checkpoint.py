"""PyTorch files are read exactly, without torch, and nothing in them is executed."""

import collections
import io
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.errors import UserError
from retrieval.models.torch_checkpoint import LEGACY_MAGIC, read_torch_checkpoint

CHECKPOINTS = Path(__file__).parent / "checkpoints"
BASE = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
# What make_checkpoints.py stored.
EXPECTED = {
    "weight": np.ones(3, np.float32),
    "bias": np.zeros(3, np.float32),
    "running_mean": np.zeros(3, np.float32),
    "running_var": np.ones(3, np.float32),
    "num_batches_tracked": np.array(0, np.int64),
    "plain": BASE,
    "transposed": BASE.transpose(2, 0, 1),
    "sliced": BASE[1, 1:, ::2],
    "parameter": np.array([1.5, -2.0], np.float32),
    "empty": np.zeros((0, 5), np.float32),
    "half": np.array([0.5, 65504.0], np.float16),
    "double": np.array([1e300]),
    "long": np.array([-(2**62), 7]),
    "byte": np.array([0, 255], np.uint8),
    "bool": np.array([True, False, True]),
}


def refusal(path):
    with pytest.raises(UserError) as caught:
        read_torch_checkpoint(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(path))
    return message


@pytest.mark.parametrize("name", ["zip.pth", "legacy.pth", "nested.pth"])
def test_every_tensor_is_read_exactly(name):
    tensors = read_torch_checkpoint(CHECKPOINTS / name)
    assert list(tensors) == list(EXPECTED)
    for key, expected in EXPECTED.items():
        assert tensors[key].dtype == expected.dtype, key
        np.testing.assert_array_equal(tensors[key], expected, err_msg=key)


@pytest.mark.parametrize("name", ["zip.pth", "legacy.pth"])
def test_tensors_of_one_storage_do_not_share_memory(name):
    tensors = read_torch_checkpoint(CHECKPOINTS / name)
    tensors["plain"][:] = -1
    np.testing.assert_array_equal(tensors["transposed"], EXPECTED["transposed"])


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def write_zip(path, content):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(content, protocol=2))


def write_legacy(path, content):
    with open(path, "wb") as file:
        for part in (LEGACY_MAGIC, 1001, {"little_endian": True}, content, []):
            pickle.dump(part, file, protocol=2)


def write_bare(path, content):
    path.write_bytes(pickle.dumps(content, protocol=2))


@pytest.mark.parametrize("write", [write_zip, write_legacy, write_bare])
@pytest.mark.parametrize("wrap", [lambda call: call, lambda call: {"weight": call}])
@pytest.mark.parametrize(
    ("function", "name"),
    [(os.system, "system"), (eval, "eval"), (exec, "exec"), (getattr, "getattr")],
)
def test_a_pickle_that_calls_a_function_is_refused_and_nothing_runs(
    tmp_path, write, wrap, function, name
):
    canary = tmp_path / "ran"
    arguments = {
        os.system: (f"touch {canary}",),
        eval: (f"open({str(canary)!r}, 'w')",),
        exec: (f"open({str(canary)!r}, 'w')",),
        getattr: ("", "join"),
    }[function]
    path = tmp_path / "evil.pth"
    write(path, wrap(Call(function, *arguments)))
    assert name in refusal(path)
    assert not canary.exists()


def test_the_malicious_pickle_would_have_run_elsewhere(tmp_path):
    """The canary of the test above works."""
    canary = tmp_path / "ran"
    write_bare(tmp_path / "evil.pth", Call(os.system, f"touch {canary}"))
    pickle.loads((tmp_path / "evil.pth").read_bytes())
    assert canary.exists()


def test_an_allowed_name_cannot_lead_to_another_function(tmp_path):
    """Protocol 4 may name attributes of attributes: ``OrderedDict.__init__.__globals__``."""
    path = tmp_path / "climbs.pth"
    stream = b"\x80\x04\x8c\x0bcollections\x8c\x14OrderedDict.__init__\x93."
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", stream)
    assert "refused" in refusal(path)


@pytest.mark.parametrize("name", ["zip.pth", "legacy.pth"])
@pytest.mark.parametrize("kept", [0, 1, 10, 100, 0.5, 0.9, -1])
def test_a_truncated_file_is_one_line(tmp_path, name, kept):
    whole = (CHECKPOINTS / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(whole[: int(kept * len(whole)) if isinstance(kept, float) else kept])
    assert "torch.save" in refusal(path)


@pytest.mark.parametrize("index", [10**8, 2**32 - 1])
def test_a_memo_without_end_is_refused_before_it_is_made(tmp_path, index):
    """One damaged byte turns a short index into a long one, and the unpickler takes 32 GB."""
    stream = b"\x80\x02}r" + index.to_bytes(4, "little") + b"."
    with zipfile.ZipFile(tmp_path / "zip.pth", "w") as archive:
        archive.writestr("archive/data.pkl", stream)
    (tmp_path / "legacy.pth").write_bytes(stream)
    for name in ("zip.pth", "legacy.pth"):
        assert str(index) in refusal(tmp_path / name)


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(["zip.pth", "legacy.pth"]),
    place=st.floats(0, 1, exclude_max=True),
    value=st.integers(0, 255),
)
def test_a_damaged_byte_gives_tensors_or_one_line(tmp_path_factory, name, place, value):
    content = bytearray((CHECKPOINTS / name).read_bytes())
    content[int(place * len(content))] = value
    path = tmp_path_factory.getbasetemp() / f"damaged_{name}"
    path.write_bytes(content)
    try:
        tensors, message = read_torch_checkpoint(path), ""
    except UserError as error:
        tensors, message = {}, str(error)
    assert bool(tensors) != bool(message)
    assert "\n" not in message
    assert all(isinstance(tensor, np.ndarray) for tensor in tensors.values())


def rebuilt(offset, shape, strides, numbers=4):
    """A zip file whose one tensor has the given geometry on a storage of four floats."""
    storage = b"ctorch\nFloatStorage\n"
    stream = io.BytesIO()
    stream.write(b"\x80\x02}X\x01\x00\x00\x00w" + b"ctorch._utils\n_rebuild_tensor_v2\n((")
    stream.write(b"X\x07\x00\x00\x00storage" + storage + b"X\x01\x00\x00\x000")
    stream.write(b"X\x03\x00\x00\x00cpu" + f"I{numbers}\n".encode() + b"tQ")
    stream.write(f"I{offset}\n".encode())
    for values in (shape, strides):
        stream.write(b"(" + b"".join(f"I{v}\n".encode() for v in values) + b"t")
    stream.write(b"I00\n" + b"ccollections\nOrderedDict\n)R" + b"tRs.")
    return stream.getvalue()


def write_geometry(path, *geometry):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", rebuilt(*geometry))
        archive.writestr("archive/data/0", np.arange(4, dtype=np.float32).tobytes())


def test_a_tensor_inside_its_storage_is_read(tmp_path):
    write_geometry(tmp_path / "good.pth", 1, (3,), (1,))
    assert read_torch_checkpoint(tmp_path / "good.pth")["w"].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (0, (5,), (1,)),
        (2, (3,), (1,)),
        (0, (2, 2), (3, 2)),
        (10**9, (1,), (1,)),
        (-1, (2,), (1,)),
        (3, (2,), (-1,)),
        (0, (10**9,), (0,)),  # a gigabyte from one number
    ],
)
def test_a_tensor_that_reaches_beyond_its_storage_is_refused(tmp_path, offset, shape, strides):
    write_geometry(tmp_path / "bad.pth", offset, shape, strides)
    assert "storage" in refusal(tmp_path / "bad.pth") or "negative" in refusal(tmp_path / "bad.pth")


@pytest.mark.parametrize(
    "content",
    [{}, [1, 2], 3, {"epoch": 3}, {"state_dict": {}}, collections.OrderedDict(a=1)],
    ids=str,
)
@pytest.mark.parametrize("write", [write_zip, write_legacy])
def test_what_is_no_state_dict_is_refused(tmp_path, write, content):
    write(tmp_path / "other.pth", content)
    assert "not a readable PyTorch state dict" in refusal(tmp_path / "other.pth")


def test_a_missing_file_a_folder_and_a_photo_are_one_line_each(tmp_path):
    assert "No such file" in refusal(tmp_path / "missing.pth")
    assert "directory" in refusal(tmp_path)
    photo = tmp_path / "photo.pth"
    photo.write_bytes(b"\xff\xd8\xff\xe0" + bytes(1000))
    refusal(photo)
