"""Collect how a run was made: versions, machine, git revision."""

import functools
import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from retrieval.runs.records import Provenance

PACKAGES = (
    "retrieval-workbench",
    "tensorflow",
    "keras",
    "numpy",
    "scikit-learn",
    "faiss-cpu",
    "umap-learn",
)


def collect_provenance(seed: int, seconds: Mapping[str, float], device: str = "") -> Provenance:
    """Describe the present process and machine.

    Args:
        seed: The run's seed.
        seconds: Stage -> wall time in seconds.
        device: What the run was computed on. Defaults to "", not known.

    Returns:
        The provenance to record in a run's ``config.yaml``.
    """
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return Provenance(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        seed=seed,
        seconds={stage: round(value, 2) for stage, value in seconds.items()},
        command=command_line(),
        git_revision=git_revision(),
        versions=versions,
        machine=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        device=device,
    )


def command_line() -> str:
    """Return the command that started this process, as it would be typed in a shell."""
    program = Path(sys.argv[0])
    is_ours = program.parts[-2:] == ("cli", "__main__.py")  # python -m retrieval.cli
    return shlex.join(["retrieval" if is_ours else program.name, *sys.argv[1:]])


@functools.cache  # of the code that this process runs, whatever happens to the files meanwhile
def git_revision() -> str | None:
    """Return the commit of this package's checkout, or None outside a git checkout.

    A ``+`` is appended if tracked files were changed. The checkout is looked at once per process.
    """
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
