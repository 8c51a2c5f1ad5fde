"""Dependencies point one way: app -> workbench -> retrieval; looking never loads TensorFlow."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    "modules",
    [
        "retrieval, retrieval.evaluation, retrieval.runs.run, retrieval.runs.evaluate, retrieval.cli.main",
        "retrieval.datasets, retrieval.projection, retrieval.runs.importing, retrieval.report.terminal",
        "workbench, workbench.figures, workbench.data.loading, workbench.session.selection",
        "workbench.pages, workbench.data.images, workbench.data.notes",
    ],
)
def test_looking_never_loads_tensorflow(modules):
    code = f"import sys, {modules}; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def imported(path: Path) -> set[str]:
    """Return the dotted names of every module a file imports, inside functions too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("retrieval", ("workbench", "streamlit", "plotly", "app")),
        ("retrieval/evaluation", ("tensorflow", "keras", "retrieval.models", "retrieval.losses")),
        ("workbench", ("app",)),
    ],
)
def test_imports_point_one_way(package, forbidden):
    for path in (ROOT / package).rglob("*.py"):
        for name in imported(path):
            assert not any(name == f or name.startswith(f + ".") for f in forbidden), (path, name)
