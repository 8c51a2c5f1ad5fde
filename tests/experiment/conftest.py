"""A quick finished run, and sweep files."""

import pytest
import yaml

from tests.quick_runs import _apart_and_quick, _finished, run, settings

__all__ = ["_apart_and_quick", "_finished", "run", "settings"]  # fixtures


@pytest.fixture
def write(tmp_path):
    """Write a sweep file from its text or its content."""

    def to_file(content):
        path = tmp_path / "grid.yaml"
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return path

    return to_file
