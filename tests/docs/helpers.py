"""Read the code blocks of a documentation page and apply them to a copy of the checkout."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)
PLACE = re.compile(r"# (?P<path>[\w/.]+\.py)(?:, (?P<where>.*))?\n")
COPIED = ("retrieval", "workbench", "tests", "docs", "pyproject.toml", "app.py")


def blocks_of(page: Path) -> list[str]:
    """Return the Python blocks of a page, in order."""
    return BLOCK.findall(page.read_text(encoding="utf-8"))


def copy_checkout(folder: Path) -> Path:
    """Copy what is needed to run the project and its tests; return the copy."""
    for name in COPIED:
        source, target = ROOT / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target)
    return folder


def apply_page(page: Path, checkout: Path) -> list[Path]:
    """Write the blocks of a how-to page into a checkout, as its reader does.

    The first line of such a block names its place: ``# path`` (a new file), ``# path, at the end``,
    ``# path, in the imports``, ``# path, in the import of PACKAGE`` or ``# path, in REGISTRY``.

    Args:
        page: The page.
        checkout: The copy to change.

    Returns:
        The new files.
    """
    new = []
    for block in blocks_of(page):
        place = PLACE.match(block)
        if place is None:
            continue
        path, body = checkout / place["path"], block[place.end() :]
        where = place["where"]
        if where is None:
            assert not path.exists(), f"{page.name} would replace {place['path']}"
            path.write_text(body, encoding="utf-8")
            new.append(path)
        elif where == "at the end":
            _edit(path, r"\Z", f"\n\n{body}")
        elif where == "in the imports":
            _edit(path, r"^(?=from )", body)
        elif where.startswith("in the import of "):
            package = re.escape(where.removeprefix("in the import of "))
            _edit(path, rf"^from {package} import \(\n", body)
        else:
            registry = where.removeprefix("in ")
            _edit(path, rf"^{registry}\b[^\n]*[\[({{]\n(?: +[\w.]+: \w+\n +for \w+ in \(\n)?", body)
    return new


def _edit(path: Path, after: str, text: str) -> None:
    """Insert text behind the first match of a pattern."""
    old = path.read_text(encoding="utf-8")
    match = re.search(after, old, flags=re.MULTILINE)
    assert match, f"{path.name}: no place like {after}"
    path.write_text(old[: match.end()] + text + old[match.end() :], encoding="utf-8")


def run_in(checkout: Path, *words: str) -> str:
    """Run ``python -m WORDS`` on a copy of the checkout; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", *words],
        cwd=checkout,
        env=_environment(checkout),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def _environment(checkout: Path) -> dict[str, str]:
    cache = checkout.parent / "cache"
    return os.environ | {"PYTHONPATH": str(checkout), "RETRIEVAL_CACHE": str(cache)}
