"""Objects below a URL: list, read, write and remove them. The only module that knows fsspec.

An object store has no folders and no rename. What it has is used: a put is all or nothing, a
listing shows a put at once, and an object can be created on the condition that there is none of its
name.
"""

import contextlib
import functools
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from retrieval.errors import UserError, how_to_install
from retrieval.files import atomic_path

EXTRA = "cluster"  # of pyproject.toml: fsspec and s3fs
# Of the file systems: nothing is answered from a listing of a while ago.
OPTIONS: dict[str, dict[str, Any]] = {
    "s3": {"config_kwargs": {"connect_timeout": 10, "read_timeout": 60}},
}
IN_A_LISTING = {"Name", "KeyCount", "MaxKeys"}  # what every listing of S3 says of itself
TIMES = ("LastModified", "updated", "last_modified", "created", "mtime")  # names in a listing
UNUSABLE = (
    "a setting of the store cannot be used: check the URL, and variables such as AWS_ENDPOINT_URL "
    "(http://HOST:9000) and AWS_DEFAULT_REGION"
)
# Errors of the stores' libraries, by class name -> what a user should read.
WORDS = {
    "NoCredentialsError": "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
    "AWS_PROFILE",
    "PartialCredentialsError": "half of the credentials is missing: set both AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY",
    "ProfileNotFound": "no such profile: check AWS_PROFILE",
    "DefaultCredentialsError": "no credentials: run `gcloud auth application-default login`",
    "PermissionError": "permission denied: check the credentials, and what they may do there",
    "EndpointConnectionError": "cannot be reached: check the network and AWS_ENDPOINT_URL",
    "ConnectTimeoutError": "cannot be reached: check the network and AWS_ENDPOINT_URL",
    "ReadTimeoutError": "does not answer: check the network, and try again",
    "ConnectionError": "cannot be reached: check the network",
    "ClientConnectorError": "cannot be reached: check the network",
    "ClientError": "the store refuses",
    "ParamValidationError": "not a name that the store takes",
    "OSError": "the store refuses",
    "BotoCoreError": UNUSABLE,
    "ValueError": UNUSABLE,
}


@dataclass(frozen=True)
class Listed:
    """What a listing says about one name.

    Attributes:
        is_folder: Whether there are objects below it.
        bytes: Size of the object.
        mark: Differs from that of another content of the same name.
        changed: When it was written, by the clock of the store; None if unknown.
    """

    is_folder: bool
    bytes: int
    mark: str
    changed: datetime | None


@dataclass(frozen=True)
class Objects:
    """The objects below a URL.

    Attributes:
        url: The URL, such as ``s3://bucket/runs/birds/one``.
    """

    url: str

    def list(self, folder: str = "") -> dict[str, Listed]:
        """Return the names directly below the URL, or a folder of it; empty if there are none.

        Args:
            folder: Name of the folder. Defaults to the URL itself.

        Raises:
            UserError: The store cannot be asked, or there is no such bucket.
        """
        path = self._path(folder)
        with self._worded():
            try:
                found = self._system.ls(path, detail=True)
            except FileNotFoundError as error:
                if _is_of_bucket(error):
                    raise
                found = []
            if not found:
                self._check_store(path)
        listed = {}
        for each in found:
            name = str(each["name"]).rstrip("/").rpartition("/")[2]
            if str(each["name"]).strip("/") != path.strip("/"):
                listed[name] = _listed(each)
        return listed

    def list_below(self) -> dict[str, Listed]:
        """Return all objects below the URL, in a thousand per question.

        Returns:
            Name relative to the URL, with slashes -> what the listing says.

        Raises:
            UserError: See :meth:`list`.
        """
        path = self._path("").strip("/")
        with self._worded():
            try:
                found = self._system.find(path, detail=True)
            except FileNotFoundError:
                found = {}
        if not found:
            self.list()  # tells a missing bucket from an empty folder
        names = {str(name).strip("/"): each for name, each in found.items()}
        return {
            name[len(path) + 1 :]: _listed(each)
            for name, each in names.items()
            if name.startswith(f"{path}/")
        }

    def read(self, name: str) -> bytes:
        """Return the content of an object.

        Raises:
            FileNotFoundError: There is none.
        """
        with self._worded():
            return bytes(self._system.cat_file(self._path(name)))

    def write(self, name: str, content: bytes) -> None:
        """Write an object; one of the same name is replaced."""
        with self._worded():
            self._system.pipe_file(self._path(name), content)

    def create(self, name: str, content: bytes) -> None:
        """Write an object, if there is none of its name.

        S3, Google Cloud Storage and Azure decide this themselves, so that of several writers
        exactly one succeeds. A store without such a condition is asked before.

        Raises:
            FileExistsError: There is one.
        """
        path = self._path(name)
        with self._worded():
            if self._system.exists(path):
                raise FileExistsError(path)
            try:
                self._system.pipe_file(path, content, mode="create")
            except FileExistsError:
                raise
            except Exception as error:
                if _is_refused_condition(error):
                    raise FileExistsError(path) from error
                raise

    def upload(self, file: Path, name: str, advance: Callable[[int], object]) -> None:
        """Write a file to an object.

        Args:
            file: The file.
            name: Name of the object.
            advance: Called with the number of bytes just written.
        """
        with self._worded():
            self._system.put_file(str(file), self._path(name), callback=_callback(advance))

    def download(self, name: str, file: Path, advance: Callable[[int], object]) -> None:
        """Write an object to a file, which appears whole.

        Args:
            name: Name of the object.
            file: The file.
            advance: Called with the number of bytes just read.

        Raises:
            FileNotFoundError: There is no such object.
        """
        with atomic_path(file) as temporary, self._worded(file):
            self._system.get_file(self._path(name), str(temporary), callback=_callback(advance))

    def remove(self, names: Iterable[str]) -> None:
        """Remove objects, which need not exist."""
        for name in names:
            with self._worded(), contextlib.suppress(FileNotFoundError):
                self._system.rm_file(self._path(name))

    def _check_store(self, path: str) -> None:
        """Refuse a web server that is no S3 store, where a listing has no entries.

        The library takes any page, and any error 404, for an empty listing. The same folder is
        asked for again, as a user may be allowed to list some folders only.
        """
        if not self.url.startswith(("s3://", "s3a://")):
            return
        bucket, _, key = path.strip("/").partition("/")
        asked = {"Bucket": bucket, "Prefix": f"{key}/" if key else "", "Delimiter": "/"}
        answer: Any = {}
        try:
            answer = self._system.call_s3("list_objects_v2", **asked, MaxKeys=1)
        except FileNotFoundError as error:
            if _is_of_bucket(error):
                raise
        if not IN_A_LISTING & set(answer):
            raise UserError(f"{self.url}: no S3 store answers there: check AWS_ENDPOINT_URL")

    @property
    def _system(self) -> Any:
        return _file_system(self.url.partition("://")[0])

    def _path(self, name: str) -> str:
        with self._worded():
            root = str(self._system._strip_protocol(self.url)).rstrip("/")
        return f"{root}/{name}" if name else root

    @contextlib.contextmanager
    def _worded(self, file: Path | None = None) -> Iterator[None]:
        """Turn an error of the store into one line that names the URL.

        Errors of the disk are left as they are, and name the file.
        """
        try:
            yield
        except (UserError, FileExistsError, MemoryError):
            raise
        except Exception as error:
            if isinstance(error, FileNotFoundError):
                if not _is_of_bucket(error):
                    raise
                raise UserError(f"{self.url}: there is no such bucket: create it first") from error
            if file is not None and isinstance(error, OSError) and error.errno in _of_the_disk():
                raise OSError(error.errno, error.strerror, str(file)) from error
            words = " ".join(str(error).split())[:200]
            for kind in type(error).__mro__:
                if kind.__name__ in WORDS:
                    raise UserError(f"{self.url}: {WORDS[kind.__name__]} ({words})") from error
            raise


@functools.cache
def _file_system(protocol: str) -> Any:
    """Return the file system of a protocol.

    Raises:
        UserError: There is none, or its package is not installed.
    """
    try:
        import fsspec
    except ImportError as error:
        raise UserError(
            f"{protocol}:// needs fsspec, which is not installed: {how_to_install(EXTRA)}"
        ) from error
    try:
        return fsspec.filesystem(
            protocol, use_listings_cache=False, **OPTIONS.get(protocol.removesuffix("a"), {})
        )
    except ValueError as error:
        raise UserError(
            f"{protocol}:// is not known: give a path, or a URL such as s3://BUCKET/FOLDER or "
            "gs://BUCKET/FOLDER"
        ) from error
    except ImportError as error:
        package = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs"}.get(protocol)
        if package == "s3fs":
            fix = how_to_install(EXTRA)
        else:
            fix = f"run `pip install {package}`" if package else " ".join(str(error).split())
        raise UserError(f"{protocol}:// needs a package that is not installed: {fix}") from error


def _callback(advance: Callable[[int], object]) -> Any:
    from fsspec.callbacks import Callback

    class Advancing(Callback):
        def relative_update(self, inc: int = 1) -> None:
            advance(inc)

    return Advancing()


def _listed(each: dict[str, Any]) -> Listed:
    time = next((each[name] for name in TIMES if each.get(name)), None)
    if isinstance(time, str):
        time = datetime.fromisoformat(time)
    elif isinstance(time, int | float):
        time = datetime.fromtimestamp(time, UTC)
    if time is not None and time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    size = int(each.get("size") or 0)
    mark = str(each.get("ETag") or each.get("etag") or time)
    return Listed(each.get("type") == "directory", size, f"{mark} {size}", time)


def _is_of_bucket(error: FileNotFoundError) -> bool:
    return "specified bucket" in str(error)


def _is_refused_condition(error: Exception) -> bool:
    words = str(error)
    return any(each in words for each in ("PreconditionFailed", "pre-condition", "precondition"))


def _of_the_disk() -> tuple[int, ...]:
    import errno

    return (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EMFILE)


def thread_count() -> int:
    """Return how many objects are sent or fetched at a time."""
    return min(16, 4 * (os.cpu_count() or 1))
