"""Runs at a URL, as one machine or another sees them."""

import shutil
from pathlib import Path

from retrieval.runs.places import partial_path
from retrieval.runs.store import changed_run, locked_run, new_run, publish


def publish_copy(run: Path, path: Path, *, overwrite: bool = False) -> None:
    """Publish a copy of a run at the URL that a folder stands for."""
    with new_run(path) as folder:
        shutil.copytree(run, folder, dirs_exist_ok=True)
        publish(path, overwrite=overwrite)


def add_file(path: Path, name: str, content: bytes | str) -> None:
    """Change a finished run: give it one more file, or another content of one."""
    with locked_run(path), changed_run(path) as folder:
        write(folder, name, content)


def write(folder: Path, name: str, content: bytes | str) -> None:
    """Write a file anew, without writing into one that has another name too."""
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())


def begin_training(path: Path, step: int) -> None:
    """Write what a training has at a step; call it under the run's lock."""
    folder = partial_path(path)
    write(folder, "config.yaml", "schema: 3\n")
    write(folder, "history.csv", f"step,loss\n{step},0.5\n")
    write(folder, f"checkpoints/step-{step:06d}/model.weights.h5", f"many weights of step {step}")
    write(folder, "checkpoints/index.json", f'{{"latest": {step}}}')


def contents(folder: Path) -> dict[str, bytes]:
    """Return the content of every file of a folder."""
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }
