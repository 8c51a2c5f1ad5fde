"""Atomic writes: the old file survives whatever happens to the new one."""

import pytest

from retrieval.files import atomic_folder, atomic_path, write_json, write_text


def test_a_failed_write_leaves_the_old_file_and_no_temporary_file(tmp_path):
    target = tmp_path / "metrics.json"
    write_text(target, "old")

    def interrupted_write():
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        interrupted_write()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_json_with_nan_is_refused_before_anything_is_replaced(tmp_path):
    target = tmp_path / "metrics.json"
    write_json(target, {"recall@1": 0.5})
    with pytest.raises(ValueError, match="JSON"):
        write_json(target, {"recall@1": float("nan")})
    assert "0.5" in target.read_text()


def test_a_folder_appears_only_when_it_is_complete(tmp_path):
    target = tmp_path / "images"

    def interrupted_write():
        with atomic_folder(target) as temporary:
            (temporary / "first.png").write_bytes(b"1")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        interrupted_write()
    assert list(tmp_path.iterdir()) == []
    with atomic_folder(target) as temporary:
        (temporary / "first.png").write_bytes(b"1")
        assert not target.exists()
    assert [path.name for path in target.iterdir()] == ["first.png"]
