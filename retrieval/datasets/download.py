"""Downloads that resume, retry, check a digest and first look for free space."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import requests
from pooch.hashes import hash_matches
from tqdm.auto import tqdm

from retrieval.errors import UserError
from retrieval.files import check_space, sync

CHUNK = 1 << 14  # a dropped connection loses at most this much of what had arrived
TIMEOUT = 30  # seconds without a byte before a connection counts as dropped


@dataclass
class ResumingDownloader:
    """A downloader that keeps what has arrived and asks for the rest.

    Attributes:
        part: The file that keeps what has arrived between attempts and between calls.
        unpacked: Free bytes needed in addition to the download itself. Defaults to 0.
        attempts: Number of attempts in a row without a new byte after which it gives up. Defaults
            to 4.
        wait: Seconds before the second attempt, doubled with each attempt without progress.
            Defaults to 1.0.
        progress: Whether to show a progress bar. Defaults to True.
    """

    part: Path
    unpacked: int = 0
    attempts: int = 4
    wait: float = 1.0
    progress: bool = True

    def __call__(self, url: str) -> None:
        """Download ``url`` to ``part``, and continue what is there.

        Raises:
            UserError: The server refuses, or stays unreachable after all attempts.
        """
        failures, have = 0, self._have()
        while True:
            try:
                self._transfer(url)
                break
            except (requests.RequestException, OSError) as error:
                _raise_if_final(url, error)
                failures = 0 if self._have() > have else failures + 1
                have = self._have()
                if failures >= self.attempts:
                    kept = f"; {have:,} bytes are kept: the same command continues" if have else ""
                    raise UserError(
                        f"{url}: no download after {failures} attempts ({_reason(error)}){kept}; "
                        "or download it yourself and pass --archive FILE"
                    ) from error
                time.sleep(self.wait * 2 ** max(failures - 1, 0))

    def _have(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _transfer(self, url: str) -> None:
        have = self._have()
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as reply:
            if reply.status_code == 416:  # nothing left: complete, or another file
                if reply.headers.get("Content-Range") != f"bytes */{have}":
                    self.part.unlink()
                    self._transfer(url)
                return
            reply.raise_for_status()
            if reply.status_code != 206:
                have = 0  # the server does not resume: start over
            rest = int(reply.headers.get("Content-Length", 0))
            check_space(self.part.parent, rest + self.unpacked)
            with (
                self.part.open("ab" if have else "wb") as file,
                tqdm(
                    desc=self.part.stem,
                    total=have + rest if rest else None,
                    initial=have,
                    unit="B",
                    unit_scale=True,
                    unit_divisor=1024,
                    disable=not self.progress,
                ) as bar,
            ):
                got = 0
                for chunk in reply.iter_content(CHUNK):
                    file.write(chunk)
                    got += len(chunk)
                    bar.update(len(chunk))
            if rest and got < rest:
                raise requests.ConnectionError(f"{rest - got:,} bytes short")


def download(
    url: str,
    target: Path,
    *,
    digest: str | None = None,
    unpacked: int = 0,
    progress: bool = True,
    attempts: int = 4,
    wait: float = 1.0,
) -> Path:
    """Download a file, unless it exists and has the right digest.

    A dropped connection resumes where it stopped, in this call or the next one. A file with the
    wrong digest is removed and downloaded once more from the start.

    Args:
        url: The address to download from.
        target: The file to create. It appears only when it is complete and has the right digest.
        digest: ``"md5:..."`` or ``"sha256:..."``. Defaults to None: any content is accepted.
        unpacked: Number of bytes that unpacking will need, for the check of free space. Defaults
            to 0.
        progress: Whether to show a progress bar. Defaults to True.
        attempts: Number of attempts in a row without a new byte after which it gives up. Defaults
            to 4.
        wait: Seconds before the second attempt, see :class:`ResumingDownloader`. Defaults to 1.0.

    Returns:
        ``target``.

    Raises:
        UserError: There is no space or no connection, or the digest was wrong twice.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    downloader = ResumingDownloader(part, unpacked, attempts, wait, progress)
    if target.exists() and hash_matches(target, digest):
        return target
    for _ in range(2):
        downloader(url)
        if hash_matches(part, digest):
            sync(part)
            os.replace(part, target)
            return target
        part.unlink()
    raise UserError(
        f"{url}: what arrived twice does not have the digest {digest}: "
        "the file at the source has changed or is damaged; nothing was kept"
    )


def _raise_if_final(url: str, error: Exception) -> None:
    """Raise the user's message for an error that no retry can fix."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None and 400 <= status < 500 and status not in (408, 429):
        raise UserError(
            f"{url}: the server answers {status}; download it yourself and pass --archive FILE"
        ) from error
    if isinstance(error, OSError) and not isinstance(error, requests.RequestException):
        raise UserError(f"cannot write the download: {error}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, requests.Timeout):
        return "timed out"
    if isinstance(error, requests.ConnectionError) and "NameResolution" in str(error):
        return "the server's name is unknown here: no network?"
    return type(error).__name__
