"""The guide to own data: its Python runs as it stands."""

import pytest

from retrieval import open_run
from tests.docs.helpers import ROOT, blocks_of


@pytest.mark.slow
def test_the_python_of_the_guide_makes_a_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (code,) = [b for b in blocks_of(ROOT / "docs/how-to/use-your-own-data.md") if "import" in b]
    names: dict[str, object] = {}
    exec(code, names)
    assert open_run("runs/shoes/clip").items["price"].tolist() == [5, 7, 9, 11, 13, 15.5]
    assert names["run"] == open_run("runs/shoes/clip").path
