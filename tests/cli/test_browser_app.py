"""The app is found through its entry point. That it opens is tested with the built wheel."""

from pathlib import Path

import pytest

from retrieval.cli.browser_app import app_script
from retrieval.errors import UserError


def test_the_script_of_the_installed_workbench_is_found_and_a_missing_one_is_named():
    assert Path(app_script()).name == "app.py"
    with pytest.raises(UserError, match="workbench"):
        app_script("retrieval.apps.of.nobody")
