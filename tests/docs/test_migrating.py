"""The page for users of tensorflow-addons: its blocks run, and their own asserts hold."""

import pytest

from tests.docs.helpers import ROOT, blocks_of


@pytest.mark.slow
def test_the_blocks_run_one_after_the_other():
    blocks = blocks_of(ROOT / "docs" / "migrating.md")
    assert sum("same(" in block for block in blocks) > 5
    names: dict = {"__name__": "migrating"}
    for number, block in enumerate(blocks):
        exec(compile(block, f"migrating.md, block {number}", "exec"), names)
