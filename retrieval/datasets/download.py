"""Downloads with pooch: progress bar, retries, and a clean restart after a break."""

from pathlib import Path

import pooch

from retrieval.errors import UserError

RETRIES = 3


def download(url: str, folder: Path, name: str, known_hash: str | None = None) -> Path:
    """Download one file, or keep the copy that is there already.

    Pooch writes to a temporary file and renames it, so a broken download leaves nothing behind.

    Args:
        url: Where the file is.
        folder: Where it goes.
        name: What it is called there.
        known_hash: ``md5:...`` or ``sha256:...``; None where the host regenerates its archives
            (their content is then verified by a manifest).

    Returns:
        The file's path.

    Raises:
        UserError: The host cannot be reached, or the content is not what it should be.
    """
    agent = pooch.HTTPDownloader(progressbar=True, timeout=60)
    last: Exception | None = None
    for _ in range(RETRIES):
        try:
            return Path(pooch.retrieve(url, known_hash, fname=name, path=folder, downloader=agent))
        except Exception as error:  # pooch passes on whatever requests and sockets raise
            last = error
            (folder / name).unlink(missing_ok=True)
    reason = " ".join(str(last).split())[:300]
    raise UserError(
        f"cannot download {url} ({type(last).__name__}: {reason}); try again, or get it "
        "by other means and pass --archive FILE"
    ) from last
