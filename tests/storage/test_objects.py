"""Objects of a store, and its errors in one line."""

import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
from fsspec.registry import _registry

from retrieval.errors import UserError
from retrieval.storage import objects as module
from retrieval.storage.objects import Objects


@pytest.fixture(params=["memory_root", "s3_root"])
def objects(request):
    return Objects(request.getfixturevalue(request.param))


@pytest.fixture
def _fresh():
    """Forget file systems that were made before, with other credentials."""
    import s3fs

    module._file_system.cache_clear()
    s3fs.S3FileSystem.clear_instance_cache()
    yield
    module._file_system.cache_clear()
    s3fs.S3FileSystem.clear_instance_cache()


def test_objects_are_written_listed_read_and_removed(objects, tmp_path):
    assert objects.list() == objects.list_below() == {}
    objects.write("one", b"1")
    (tmp_path / "file").write_bytes(b"two")
    sent = []
    objects.upload(tmp_path / "file", "folder/two", sent.append)
    listed = objects.list()
    assert {name: each.is_folder for name, each in listed.items()} == {"one": False, "folder": True}
    assert listed["one"].bytes == 1
    assert listed["one"].changed is not None
    assert set(objects.list("folder")) == {"two"}
    assert set(objects.list_below()) == {"one", "folder/two"}
    objects.download("folder/two", tmp_path / "copy", lambda _: None)
    assert (tmp_path / "copy").read_bytes() == b"two"
    objects.remove(["one", "folder/two", "never there"])
    assert objects.list_below() == {}


def test_another_content_of_a_name_has_another_mark(objects):
    objects.write("one", b"1")
    before = objects.list()["one"].mark
    assert objects.list()["one"].mark == before
    objects.write("one", b"2")
    assert objects.list()["one"].mark != before


def test_reading_what_is_not_there_is_no_error_of_the_user(objects, tmp_path):
    with pytest.raises(FileNotFoundError):
        objects.read("one")
    with pytest.raises(FileNotFoundError):
        objects.download("one", tmp_path / "one", lambda _: None)
    assert not list(tmp_path.glob("*one*"))


def test_of_many_writers_who_create_one_object_one_succeeds(s3_root):
    objects = Objects(s3_root)

    def create(number: int) -> bool:
        try:
            objects.create("one", str(number).encode())
        except FileExistsError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(create, range(8)))
    assert won.count(True) == 1
    assert objects.read("one") == str(won.index(True)).encode()


def test_the_store_itself_decides_who_creates_an_object(s3_root, monkeypatch):
    objects = Objects(s3_root)
    objects.write("one", b"1")
    monkeypatch.setattr(objects._system, "exists", lambda *_, **__: False)
    with pytest.raises(FileExistsError):
        objects.create("one", b"2")
    assert objects.read("one") == b"1"


def test_a_bucket_that_is_not_there(s3_root):
    with pytest.raises(UserError, match=r"^s3://nobody/runs: there is no such bucket: create it"):
        Objects("s3://nobody/runs").list()
    with pytest.raises(UserError, match=r"^s3://nobody/runs: there is no such bucket: create it"):
        Objects("s3://nobody/runs").list_below()


@pytest.mark.usefixtures("_fresh")
def test_no_credentials(s3_root, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(UserError, match=r"^s3://.*: no credentials: set AWS_ACCESS_KEY_ID and"):
        Objects(s3_root).list()


@pytest.mark.usefixtures("_fresh")
def test_no_permission(s3_root, s3_server):
    requests.post(f"{s3_server}/moto-api/reset-auth", data=b"0", timeout=9)
    try:
        with pytest.raises(UserError, match=r"^s3://.*: permission denied: check the credentials"):
            Objects(s3_root).write("one", b"1")
    finally:
        requests.post(f"{s3_server}/moto-api/reset-auth", data=b"inf", timeout=9)


@pytest.mark.usefixtures("_fresh")
def test_no_network(s3_root, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    with pytest.raises(UserError, match=r"^s3://.*: cannot be reached: check the network and AWS_"):
        Objects(s3_root).list()


@pytest.fixture(params=[200, 404])
def web_server(request):
    """A server of web pages, which says 200 or 404 to everything, and is no store."""

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self):
            page = b"<html><body>hello</body></html>"
            self.send_response(request.param)
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_):
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.usefixtures("_fresh")
def test_a_server_that_is_no_store_is_no_empty_folder(s3_root, monkeypatch, web_server):
    monkeypatch.setenv("AWS_ENDPOINT_URL", web_server)
    with pytest.raises(UserError, match=f"^{s3_root}: (no S3 store|the store refuses)"):
        Objects(s3_root).list()


@pytest.mark.usefixtures("_fresh")
@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AWS_ENDPOINT_URL", "minio:9000"),
        ("AWS_ENDPOINT_URL", "http://minio:port"),
        ("AWS_DEFAULT_REGION", "my region"),
    ],
)
def test_a_setting_that_no_store_can_have(s3_root, monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    with pytest.raises(UserError, match=f"^{s3_root}: .*{variable}.*{value}"):
        Objects(s3_root).list()


@pytest.mark.usefixtures("_fresh")
def test_a_full_disk_names_the_file(s3_root, tmp_path, monkeypatch):
    objects = Objects(s3_root)
    objects.write("one", b"1")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(objects._system, "get_file", full)
    with pytest.raises(OSError, match="No space left") as failed:
        objects.download("one", tmp_path / "one", lambda _: None)
    assert failed.value.filename == str(tmp_path / "one")


@pytest.mark.usefixtures("_fresh")
@pytest.mark.parametrize("package", ["fsspec", "s3fs"])
def test_a_package_that_is_not_installed(package, monkeypatch):
    monkeypatch.delitem(_registry, "s3", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=r"s3:// needs .* not installed: run `pip install -e '\.\["):
        Objects("s3://lab/runs").list()


def test_a_protocol_that_nobody_knows():
    with pytest.raises(UserError, match=r"^xyz:// is not known: give a path, or a URL such as s3:"):
        Objects("xyz://lab/runs").list()
