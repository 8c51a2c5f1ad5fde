"""An S3 server of this machine, and stores to publish runs in: fixtures of packages of tests.

A ``conftest.py`` that imports them has them for its own package.
"""

import itertools
import logging

import boto3
import pytest
from moto.server import ThreadedMotoServer

from retrieval.storage.addresses import located

COUNT = itertools.count()
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@pytest.fixture(scope="session")
def s3_server():
    """Address of an S3 server; the processes of a test find it by the variables of `s3_root`."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def s3_root(s3_server, monkeypatch, tmp_path):
    """URL of a folder of runs in a bucket of its own, with an empty cache on this machine."""
    for name, value in (CREDENTIALS | {"AWS_ENDPOINT_URL": s3_server}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RETRIEVAL_CACHE", str(tmp_path / "cache"))
    bucket = f"bucket-{next(COUNT)}"
    boto3.client("s3").create_bucket(Bucket=bucket)
    return f"s3://{bucket}/runs"


@pytest.fixture
def memory_root(monkeypatch, tmp_path):
    """URL of a folder of runs in the memory of this process, with an empty cache."""
    monkeypatch.setenv("RETRIEVAL_CACHE", str(tmp_path / "cache"))
    return f"memory://store-{next(COUNT)}/runs"


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Function that goes on as another machine: with another cache. It returns a run's folder."""

    def go_on(name: str, url: str):
        monkeypatch.setenv("RETRIEVAL_CACHE", str(tmp_path / name))
        return located(url)

    return go_on
