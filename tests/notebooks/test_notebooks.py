"""Every notebook runs from top to bottom, and is committed with its outputs."""

import ast
import importlib
from pathlib import Path

import nbformat
import pytest
from jupyter_client import KernelManager
from nbclient import NotebookClient

from retrieval.runs.store import list_runs

FOLDER = Path(__file__).parents[2] / "notebooks"
RUNS = {
    "quickstart": {"small-quickstart-npairs_loss", "small-quickstart-semi_hard_triplet"},
    "grocery": {"placeholder-notebook-head-none", "placeholder-notebook-whole-network"},
    "cub200": {"placeholder-npairs_loss", "placeholder-semi_hard_triplet"},
    "cars196": {"placeholder-resnet50_multi_similarity", "placeholder-resnet50_proxy_anchor"},
    "stanford_online_products": {"placeholder-npairs_loss", "placeholder-semi_hard_triplet"},
    "inshop": {"placeholder-npairs_loss", "placeholder-semi_hard_triplet"},
    "your_own_images": {"small-notebook-none", "small-notebook-multi_similarity"},
    "compare_losses": {"placeholder-compare-npairs_loss-seed0"},
    "inspect_failures": {"placeholder-inspect-angular_loss"},
    "fair_comparison": {"placeholder-fair_comparison-npairs_loss-recommended"},
}
BENCHMARKS = ("cub200", "cars196", "stanford_online_products", "inshop")


# The same cells, fewer losses and steps, and smaller images.
SMALLER = {
    '"steps": 40': '"steps": 4',
    '"eval_every": 20': '"eval_every": 2',
    '"steps": 20,': '"steps": 4,',
    '"eval_every": 10,': '"eval_every": 2,',
    "steps=50)": "steps=5)",
    "steps=30)": "steps=5)",
    '"image_size": 96': '"image_size": 64',
    '"pre_crop": 110': '"pre_crop": 72',
    'LOSSES = ["semi_hard_triplet", "angular_loss", "hard_triplet"]': 'LOSSES = ["angular_loss"]',
    '    "hard_triplet",\n    "semi_hard_triplet",\n    "lifted_loss",\n': "",
    '    "angular_loss",\n    "contrastive_loss",\n': "",
}
# Three of the benchmarks: they say the same as the first one, which trains the network they name.
QUICKER = {'"backbone": "efficientnet_lite0"': '"backbone": "conv4"'}
CONFIGS = "runs/*/*/config.yaml"  # written once by a training
# What a kernel that has run another notebook needs, so that it is to this one like a new one. It
# looks for no garbage among the millions of objects of TensorFlow's graphs: that takes seconds.
AFRESH = """%reset -f
import gc, os
gc.freeze()
gc.disable()
os.chdir({folder!r})
del gc, os"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Drawn characters and the placeholders made from them, shared by the notebooks."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    """One kernel for all notebooks: importing TensorFlow and compiling UMAP take long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RETRIEVAL_SCALE", "small")
        patch.setenv("RETRIEVAL_PICTURES", "no")
        patch.setenv("RETRIEVAL_MEASURE", "no")  # tests/training/test_step_time.py does
        patch.setenv("RETRIEVAL_CACHE", str(tmp_path_factory.mktemp("cache")))
        manager = KernelManager()
        manager.start_kernel()
    yield manager
    manager.shutdown_kernel(now=True)


def test_every_notebook_is_known():
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(RUNS)


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_a_notebook_runs_from_top_to_bottom_and_trains_nothing_the_second_time(
    name, data, kernel, tmp_path
):
    (tmp_path / "data").symlink_to(data)
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    if name in BENCHMARKS[1:]:
        leave_out_what_the_first_one_shows(notebook)
    for cell in notebook.cells:
        for whole, smaller in (SMALLER | (QUICKER if name in BENCHMARKS[1:] else {})).items():
            cell.source = cell.source.replace(whole, smaller)
    again = [nbformat.v4.new_code_cell(c.source) for c in notebook.cells if trains(c)]
    assert again
    remember = f"import pathlib\nmade = {{p: p.stat() for p in pathlib.Path().glob({CONFIGS!r})}}"
    unchanged = f"assert made and made == {{p: p.stat() for p in pathlib.Path().glob({CONFIGS!r})}}"
    notebook.cells = [
        nbformat.v4.new_code_cell(AFRESH.format(folder=str(tmp_path))),
        *notebook.cells,
        nbformat.v4.new_code_cell(remember),
        *again,
        nbformat.v4.new_code_cell(unchanged),
    ]
    NotebookClient(notebook, km=kernel, timeout=400).execute()
    runs = {run.name: run for run in list_runs(tmp_path / "runs")}
    assert RUNS[name] <= set(runs)
    for run in runs.values():
        assert 0 <= run.result().metric("recall@1").value <= 1
    said = "".join(o.get("text", "") for cell in again for o in cell.outputs)
    assert said.count("exists; kept") == len(runs)
    text = nbformat.writes(notebook)
    assert ("Synthetic placeholder" in text) == (next(iter(RUNS[name])).startswith("placeholder-"))
    if name in BENCHMARKS:
        assert all(run.settings.scaled for run in runs.values())


def leave_out_what_the_first_one_shows(notebook):
    """Leave out the cells that only show something, if the first benchmark has the same ones."""
    first = nbformat.read(FOLDER / f"{BENCHMARKS[0]}.ipynb", as_version=4)
    tested = {cell.source for cell in first.cells if not binds_a_name(cell)}
    notebook.cells = [cell for cell in notebook.cells if cell.source not in tested]
    assert len(notebook.cells) >= 5


def trains(cell):
    """Tell whether a cell calls ``train`` or ``tune``."""
    if cell.cell_type != "code":
        return False
    names = (node.func for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Call))
    return any(isinstance(name, ast.Name) and name.id in ("train", "tune") for name in names)


def binds_a_name(cell):
    """Tell whether later cells may need a cell."""
    if cell.cell_type != "code":
        return False
    return not all(isinstance(node, ast.Expr) for node in ast.parse(cell.source).body)


NOTEBOOKS = pytest.mark.parametrize(
    "path", sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.stem
)


def sources_of(path: Path) -> list[str]:
    cells = nbformat.read(path, as_version=4).cells
    return [cell.source for cell in cells if cell.cell_type == "code"]


def code_of(path: Path) -> list[ast.Module]:
    return [ast.parse(source) for source in sources_of(path)]


def imports_of(cell: ast.Module) -> list[ast.Import | ast.ImportFrom]:
    return [node for node in ast.walk(cell) if isinstance(node, ast.Import | ast.ImportFrom)]


@NOTEBOOKS
def test_a_notebook_imports_in_one_cell_from_the_two_packages_and_from_no_deep_module(path):
    cells = [found for found in map(imports_of, code_of(path)) if found]
    assert len(cells) == 1
    (imports,) = cells
    assert len(imports) <= 5
    (lines,) = [source.splitlines() for source in sources_of(path) if "import " in source]
    assert len([line for line in lines if line]) <= 5
    for node in imports:
        if isinstance(node, ast.ImportFrom):
            package = importlib.import_module(node.module)
            assert node.module == "retrieval"
            assert {name.name for name in node.names} <= set(package.__all__)
        else:
            (name,) = node.names
            ours = name.name.split(".")[0] in ("retrieval", "workbench")
            assert not ours or (name.name, name.asname) == ("workbench.notebook", "nb")


@NOTEBOOKS
def test_a_notebook_calls_only_what_the_package_of_the_notebooks_offers(path):
    """A name of ``nb`` that is not there would only show when its cell runs."""
    face = importlib.import_module("workbench.notebook")
    for cell in code_of(path):
        for node in ast.walk(cell):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                assert node.value.id != "nb" or node.attr in face.__all__


@NOTEBOOKS
def test_a_notebook_is_committed_with_its_outputs_and_no_errors(path):
    assert path.stat().st_size < 3_000_000
    cells = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    assert all(cell.execution_count for cell in cells)
    outputs = [output for cell in cells for output in cell.outputs]
    kinds = [output.output_type for output in outputs]
    assert "error" not in kinds
    assert kinds.count("execute_result") + kinds.count("display_data") >= 5
    interactive = [o.data for o in outputs if "application/vnd.plotly.v1+json" in o.get("data", {})]
    assert sum("image/png" in data for data in interactive) >= 3  # shown where nothing runs


@pytest.mark.parametrize(
    "name", ["quickstart", "grocery", "compare_losses", "fair_comparison", "inspect_failures"]
)
def test_the_committed_outputs_are_of_real_data(name):
    assert "Synthetic placeholder" not in (FOLDER / f"{name}.ipynb").read_text(encoding="utf-8")
