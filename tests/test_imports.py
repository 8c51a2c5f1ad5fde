"""The house: which room may import which, no circles, and looking never loads TensorFlow."""

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import retrieval

ROOT = Path(__file__).parent.parent

# From top to bottom. A room may import the rooms of every lower floor, and no other.
FLOORS = {
    "retrieval": (
        ("cli",),
        ("deployment", "tuning"),
        ("experiment",),
        ("training", "report"),
        ("runs", "embedding", "recipes"),
        ("settings", "projection"),
        ("losses", "evaluation", "datasets", "models", "input_pipeline", "sampling"),
        ("cluster",),
        ("caches", "storage"),
        ("validation", "files", "failures"),
        ("errors", "progress", "quiet"),
    ),
    "workbench": (
        ("shell",),
        ("pages",),
        ("layout", "report", "notebook"),
        ("session", "components"),
        ("data", "figures"),
        ("analysis",),
    ),
}
# Every other module stands in a room.
LOOSE = {
    "retrieval": {
        "caches",
        "errors",
        "failures",
        "files",
        "progress",
        "projection",
        "quiet",
        "sampling",
        "validation",
    },
    "workbench": {"report"},
}
# What may import by a name made at run time: registries that load TensorFlow on first use.
LAZY = {
    "retrieval/__init__.py",
    "retrieval/losses/registry.py",
    "retrieval/models/registry.py",
}

# The one file of figures that imports TensorFlow, and only while it searches on a GPU.
ON_A_GPU = "retrieval/evaluation/search/device.py"


def modules() -> dict[str, Path]:
    """Return the dotted name and the file of every module of both packages."""
    found = {}
    for package in FLOORS:
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


@functools.cache  # most tests look at most files
def parsed(path: Path) -> ast.Module:
    """Return the syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def imported(path: Path) -> tuple[str, ...]:
    """Return the dotted name of every module a file imports, inside functions too."""
    return tuple(found_in(parsed(path)))


def found_in(tree: ast.AST) -> Iterator[str]:
    """Yield the dotted name of every module that is imported below a node of the syntax tree."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"relative import, line {node.lineno}"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                if node.module == "retrieval":  # its public names stand for their modules
                    yield retrieval._HOME.get(alias.name, inner)
                else:
                    yield inner if inner in MODULES else str(node.module)


def room(module: str) -> str:
    """Return the room a module stands in: ``retrieval.runs.lock`` stands in ``retrieval.runs``."""
    return ".".join(module.split(".")[:2])


def floor(name: str) -> int:
    """Return how many floors lie above a room."""
    package, _, rest = name.partition(".")
    return next(n for n, rooms in enumerate(FLOORS[package]) if rest in rooms)


def test_every_room_is_on_the_plan_and_no_other():
    rooms = {room(module) for module in MODULES} - set(FLOORS)
    planned = {f"{package}.{r}" for package, floors in FLOORS.items() for f in floors for r in f}
    assert rooms == planned


@pytest.mark.parametrize("package", LOOSE)
def test_no_module_lies_loose_but_those_named(package):
    files = {path.stem for path in (ROOT / package).glob("*.py")} - {"__init__"}
    assert files == LOOSE[package]


@pytest.mark.parametrize("module", [m for m in MODULES if "." in m])
def test_imports_point_down(module):
    here = room(module)
    package = here.partition(".")[0]
    for name in imported(MODULES[module]):
        there = room(name)
        if name in FLOORS or there == here or name.partition(".")[0] not in (*FLOORS, "app"):
            continue
        assert name.partition(".")[0] in ("retrieval", package), (module, name)
        if there.startswith(package):
            assert floor(there) > floor(here), f"{module} imports {name}: not on a lower floor"


def test_no_file_is_in_an_import_circle():
    graph = {
        module: {name for name in imported(path) if name in MODULES and name != module}
        for module, path in MODULES.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as circle:
        pytest.fail(f"import circle: {' -> '.join(circle.args[1])}")


def test_no_import_hides_in_a_string():
    for path in MODULES.values():
        if str(path.relative_to(ROOT)) in LAZY:
            continue
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Call) and "import" in ast.unparse(node.func):
                named = [a.value for a in node.args if isinstance(a, ast.Constant)]
                hidden = "import_module" in ast.unparse(node.func) and len(named) != len(node.args)
                assert not hidden, f"{path}: imports a module by a name made at run time"
                assert not any(str(n).split(".")[0] in FLOORS for n in named), (path, named)


def test_only_the_command_line_and_notebooks_print():
    for path in MODULES.values():
        if path.parent in (ROOT / "retrieval" / "cli", ROOT / "workbench" / "notebook"):
            continue
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                assert name not in ("print", "typer.echo", "sys.stdout.write"), (path, node.lineno)


def test_types_alone_are_imported_from_libraries_only():
    for path in MODULES.values():
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                assert not {name.split(".")[0] for name in found_in(node)} & set(FLOORS), path


@pytest.mark.slow
@pytest.mark.parametrize(
    "names",
    [
        "retrieval, retrieval.evaluation, retrieval.runs, retrieval.runs.evaluate, retrieval.cli",
        "retrieval.datasets, retrieval.projection, retrieval.runs.importing, retrieval.report",
        "retrieval.experiment.session, retrieval.settings.checks, retrieval.recipes",
        "workbench, workbench.figures, workbench.data.loading, workbench.session.selection",
        "workbench.pages, workbench.data.images, workbench.data.notes, workbench.notebook",
    ],
)
def test_looking_loads_neither_tensorflow_nor_scipy_stats(names):
    slow = {"tensorflow", "keras", "scipy.stats"}
    code = f"import sys, {names}; sys.exit(bool({slow} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize("package", ["retrieval/evaluation", "retrieval/runs", "retrieval/report"])
def test_figures_and_run_folders_never_import_tensorflow(package):
    for path in (ROOT / package).rglob("*.py"):
        if str(path.relative_to(ROOT)) == ON_A_GPU:
            continue
        assert not {name.partition(".")[0] for name in imported(path)} & {"tensorflow", "keras"}
