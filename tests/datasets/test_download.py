import hashlib
import shutil
from collections import namedtuple

import numpy as np
import pytest

from retrieval.datasets.download import check_space, download
from retrieval.errors import UserError
from tests.datasets.helpers import below

CONTENT = np.random.default_rng(0).bytes(2**20)
DIGEST = "md5:" + hashlib.md5(CONTENT).hexdigest()


@pytest.fixture
def get(server, tmp_path):
    server.files["set.zip"] = CONTENT

    def call(name="set.zip", digest=DIGEST, **options):
        target = tmp_path / "downloads" / "set.zip"
        return download(
            server.url(name), target, digest=digest, progress=False, wait=0.0, **options
        )

    return call


def ranges(server):
    return [asked for _, asked in server.requests]


def test_a_file_arrives_and_is_not_asked_for_again(get, server):
    path = get()
    assert path.read_bytes() == CONTENT
    assert get().read_bytes() == CONTENT
    assert len(server.requests) == 1
    assert below(path.parent) == ["set.zip"]


def test_a_dropped_connection_resumes_where_it_stopped(get, server):
    server.script = ["drop", "drop", "drop"]
    assert get().read_bytes() == CONTENT
    assert ranges(server) == [None, "bytes=524288-", "bytes=786432-", "bytes=917504-"]


def test_many_drops_are_survived_as_long_as_bytes_arrive(get, server):
    server.script = ["drop"] * 6
    assert get(attempts=2).read_bytes() == CONTENT


def test_a_server_that_cannot_resume_makes_a_clean_restart(get, server):
    server.resumes, server.script = False, ["drop"]
    assert get().read_bytes() == CONTENT
    assert ranges(server) == [None, "bytes=524288-"]


def test_a_later_call_continues_what_an_earlier_one_left(get, server, tmp_path):
    server.script = ["drop", 503, 503]
    with pytest.raises(UserError, match=r"2 attempts.*524,288 bytes"):
        get(attempts=2)
    assert below(tmp_path / "downloads") == ["set.zip.part"]
    server.requests.clear()
    assert get().read_bytes() == CONTENT
    assert ranges(server) == ["bytes=524288-"]


def test_corrupt_bytes_are_thrown_away_and_fetched_anew(get, server, tmp_path):
    server.script = ["corrupt"]
    assert get().read_bytes() == CONTENT
    assert ranges(server) == [None, None]
    assert below(tmp_path / "downloads") == ["set.zip"]


def test_a_file_that_stays_wrong_is_refused_and_nothing_is_kept(get, server, tmp_path):
    server.script = ["corrupt", "corrupt"]
    with pytest.raises(UserError, match="md5:") as error:
        get()
    assert "\n" not in str(error.value)
    assert below(tmp_path / "downloads") == []


@pytest.mark.parametrize(
    "left", [CONTENT, CONTENT + b"tail of another file"], ids=["whole", "too long"]
)
def test_a_part_with_nothing_left_to_ask_for_ends_well(get, tmp_path, left):
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "set.zip.part").write_bytes(left)
    assert get().read_bytes() == CONTENT


def test_a_stale_part_of_another_file_is_found_out_by_the_digest(get, tmp_path):
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "set.zip.part").write_bytes(b"x" * 1000)
    assert get().read_bytes() == CONTENT


def test_a_file_the_server_does_not_have_is_not_asked_for_twice(get, server):
    with pytest.raises(UserError, match=r"404.*--archive FILE"):
        get("gone.zip")
    assert len(server.requests) == 1


def test_an_unreachable_server_is_one_line(tmp_path):
    with pytest.raises(UserError, match="2 attempts") as error:
        download("http://127.0.0.1:9/x", tmp_path / "x", attempts=2, wait=0.0, progress=False)
    assert "\n" not in str(error.value)
    assert below(tmp_path / "work") == []


def test_a_full_disk_is_noticed_before_the_download(get, monkeypatch, tmp_path):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, 2**20 + 1000))
    assert get(unpacked=1000).exists()
    (tmp_path / "downloads" / "set.zip").unlink()
    with pytest.raises(UserError, match=r"1\.0 MB needed, 1\.0 MB free"):
        get(unpacked=1001)
    assert below(tmp_path / "downloads") == []


def test_free_space_is_looked_for_on_the_disk_of_a_folder_to_be(tmp_path):
    free = shutil.disk_usage(tmp_path).free
    check_space(tmp_path / "not" / "there", free // 2)
    with pytest.raises(UserError, match="free"):
        check_space(tmp_path / "not" / "there", 2 * free)
