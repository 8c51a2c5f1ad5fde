"""What made a run: versions, machine, git revision."""

import importlib.metadata
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

PACKAGES = (
    "retrieval-workbench",
    "tensorflow",
    "keras",
    "numpy",
    "scikit-learn",
    "faiss-cpu",
    "umap-learn",
)


def provenance(seed: int, seconds: dict[str, float] | None = None) -> dict:
    """Describe the present process for a run's ``config.yaml``.

    Args:
        seed: The run's seed.
        seconds: Wall time of each stage.

    Returns:
        Keys ``created`` (UTC), ``seed``, ``seconds``, ``command``, ``git_revision``, ``versions``
        and ``machine``.
    """
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": seed,
        "seconds": {k: round(v, 2) for k, v in (seconds or {}).items()},
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "git_revision": git_revision(),
        "versions": versions,
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    }


def git_revision() -> str | None:
    """Return the commit this package's checkout is at (``+`` if changed), None outside git."""
    here = Path(__file__).parent

    def run(*args: str) -> str:
        return subprocess.run(
            ["git", *args], cwd=here, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    try:
        changed = run("status", "--porcelain", "--untracked-files=no")
        return run("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return None
