"""URLs of runs and the folders of this machine that stand for them."""

from pathlib import Path

import pytest

from retrieval.errors import UserError
from retrieval.storage.addresses import address_of, in_urls, is_url, located, shown


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("RETRIEVAL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_url_and_its_folder_follow_from_each_other(cache):
    folder = located("s3://lab/some/runs") / "birds" / "one"
    assert folder == cache / "remote" / "s3" / "lab" / "some" / "runs" / "birds" / "one"
    assert address_of(folder) == "s3://lab/some/runs/birds/one"
    assert located("s3://lab/some/runs/birds/one/") == folder


def test_a_url_that_was_made_a_path_is_still_one():
    assert str(Path("s3://lab/runs")) == "s3:/lab/runs"
    assert located(Path("s3://lab/runs")) == located("s3://lab/runs")
    assert is_url(Path("gs://lab/runs"))


@pytest.mark.parametrize("text", ["runs", "/tmp/runs", "C:/runs", "C:\\runs", "a b/s3"])
def test_other_texts_are_paths(text):
    assert not is_url(text)
    assert located(text) == Path(text)
    assert address_of(Path(text)) is None


def test_a_file_url_is_a_path():
    assert located("file:///tmp/runs") == Path("/tmp/runs")


@pytest.mark.parametrize("text", ["s3://", "s3://lab/../other", "s3://lab/./runs"])
def test_a_url_that_names_nothing_is_refused(text):
    with pytest.raises(UserError, match=r"give a URL such as s3://BUCKET/FOLDER"):
        located(text)


def test_buckets_of_one_name_on_two_servers_are_kept_apart(monkeypatch):
    public = located("s3://lab/runs")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")
    own = located("s3://lab/runs")
    assert own != public
    assert address_of(own) == address_of(public) == "s3://lab/runs"
    assert located("gs://lab/runs").parts[-3] == "gs"


def test_texts_show_urls_in_place_of_folders(cache, monkeypatch):
    folder = located("s3://lab/runs") / "birds"
    assert in_urls(f"Written: {folder}/one, {folder}") == (
        "Written: s3://lab/runs/birds/one, s3://lab/runs/birds"
    )
    monkeypatch.chdir(cache.parent)
    monkeypatch.setenv("RETRIEVAL_CACHE", "cache")
    for written in (located("s3://lab/runs"), located("s3://lab/runs").resolve()):
        assert in_urls(f"see {written}") == "see s3://lab/runs"
        assert shown(written) == "s3://lab/runs"
    assert in_urls("see runs/birds") == "see runs/birds"
