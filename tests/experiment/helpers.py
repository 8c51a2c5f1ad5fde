"""Helpers of several test files."""

from retrieval.experiment.sweep import read_grid
from retrieval.settings import TrainSettings


def runs_of(path) -> dict[str, TrainSettings]:
    """Return the runs of a sweep file."""
    return read_grid(path).runs


def files_of(path) -> dict[str, bytes]:
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}
