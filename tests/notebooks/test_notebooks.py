"""Every notebook runs from top to bottom, and is committed with its outputs."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "notebooks"


@pytest.mark.parametrize("name", ["quickstart"])
def test_a_notebook_runs_from_top_to_bottom(name, tmp_path, monkeypatch):
    monkeypatch.setenv("RETRIEVAL_SCALE", "small")
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    client = NotebookClient(notebook, timeout=400, resources={"metadata": {"path": tmp_path}})
    client.execute()
    runs = sorted(p.name for p in (tmp_path / "runs" / "typefaces").iterdir())
    assert runs == ["quickstart-npairs_loss", "quickstart-semi_hard_triplet"]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ipynb")), ids=lambda p: p.stem)
def test_a_notebook_is_committed_with_its_outputs_and_no_errors(path):
    assert path.stat().st_size < 3_000_000
    cells = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    assert all(cell.execution_count for cell in cells)
    kinds = [output.output_type for cell in cells for output in cell.outputs]
    assert "error" not in kinds
    assert kinds.count("execute_result") + kinds.count("display_data") >= 5
