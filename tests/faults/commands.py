"""The commands that are killed: what is there before, what is typed, and what must hold after."""

import hashlib
import io
import os
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from retrieval.cli.main import main
from retrieval.datasets import load_catalog, stanford_online_products
from retrieval.datasets.official import Counts
from retrieval.datasets.placeholder import write_placeholder
from retrieval.errors import UserError
from tests.datasets.flaky_server import FlakyServer
from tests.photos import write_colors

TRAIN = (
    "train --dataset folder --data photos --backbone conv4 --weights none --image-size 16 "
    "--embedding-size 8 --classes-per-batch 3 --samples-per-class 2 --learning-rate 0.01 "
    "--no-check-memory --loss npairs_loss --name one"
)
EVALUATE = "evaluate runs/folder/one"
IMPORT = "import --embeddings {0}.npy --items {0}.csv --dataset folder --name one --image-root ."


@dataclass(frozen=True)
class Command:
    """A command to kill.

    Attributes:
        name: Its name in the table of results.
        words: What is typed after ``retrieval``; or a function to call, in the working folder.
        before: Make the folder in which it runs, which is empty and the working folder.
        again: What is typed if the killed command has published its run already. Defaults to the
            command itself.
        resume: What may be typed instead to go on with a run in training. Defaults to nothing.
        needs_tensorflow: Whether the command loads TensorFlow. Defaults to False.
    """

    name: str
    words: str | Callable[[], None]
    before: Callable[[], None]
    again: str | None = None
    resume: str | None = None
    needs_tensorflow: bool = False


def type_command(words: str | Callable[[], None]) -> None:
    """Run a command as if it had been typed, in this process; it may end with SystemExit."""
    if callable(words):
        try:
            words()
        except UserError as error:
            sys.exit(f"error: {error}")
        return
    sys.argv = ["retrieval", *words.split()]
    main()


def typed(words: str) -> None:
    """Run a command of the preparation, which must succeed."""
    try:
        type_command(words)
    except SystemExit as end:
        if end.code:
            raise RuntimeError(f"{words} ended with {end.code}") from end


def photos() -> None:
    """Write six classes of four photos, and something of the user's beside the runs."""
    write_colors(Path("photos"), seed=0, scale=60, classes=6, each=4)
    for path in ("runs/mine.txt", "runs/folder/mine/keep.txt", "runs/folder/.mine"):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text("mine")


def embeddings(name: str, seed: int) -> None:
    """Write embeddings of all photos with their items."""
    paths = sorted(Path("photos").rglob("*.png"))
    labels = [path.parent.name for path in paths]
    rng = np.random.default_rng(seed)
    centers = dict.fromkeys(labels)
    centers = {label: rng.normal(size=6) for label in centers}
    points = [centers[label] + rng.normal(scale=1.2, size=6) for label in labels]
    np.save(f"{name}.npy", np.asarray(points, np.float32))
    roles = ["query" if n % 4 < 2 else "gallery" for n in range(len(paths))]
    items = pd.DataFrame({"path": paths, "label": labels, "role": roles})
    items.to_csv(f"{name}.csv", index=False)


def imported() -> None:
    """Import a run, with a note on it."""
    photos()
    embeddings("a", 1)
    embeddings("b", 2)
    typed(IMPORT.format("a"))
    note(3)


def note(row: int) -> None:
    """Write a note on an item."""
    from retrieval.runs.store import open_run
    from workbench.data.notes import write_note

    write_note(open_run("runs/folder/one"), row, "ambiguous", f"note {row}")


def imported_old_notes() -> None:
    """Import a run whose notes lie beside its folder, as version 0.1.0 kept them."""
    imported()
    rows = pd.read_csv("runs/folder/one/notes.csv", dtype=str)
    rows.drop(columns="item").to_csv("runs/folder/one.notes.csv", index=False)
    Path("runs/folder/one/notes.csv").unlink()


def embeddings_only() -> None:
    """Write the files of an import, without a run."""
    photos()
    embeddings("a", 1)


def trained() -> None:
    """Train a run, with a note on it."""
    photos()
    typed(f"{TRAIN} --steps 2 --eval-every 2")
    note(1)


def grid() -> None:
    """Write a sweep of two runs."""
    photos()
    words = TRAIN.split()[1:-2]  # without the name
    words.remove("--no-check-memory")
    settings = {w[2:].replace("-", "_"): v for w, v in zip(words[::2], words[1::2], strict=True)}
    settings = {k: yaml.safe_load(v) for k, v in settings.items()}
    base = settings | {"steps": 2, "eval_every": 2, "check_memory": False}
    Path("grid.yaml").write_text(yaml.safe_dump({"base": base, "grid": {"seed": [0, 1]}}))


def small_archive() -> None:
    """Serve a small archive of Stanford Online Products, in place of the published one."""
    photos()
    catalog = load_catalog("folder", "photos")
    items = catalog.items.assign(super_label=0, super_name="kind")
    write_placeholder("sop", replace(catalog, items=items), Path("made"), classes=2)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(Path("made").rglob("*")):
            if path.is_file() and path.name != "PLACEHOLDER.txt":
                archive.write(path, path.relative_to("made"))
    Path("served.zip").write_bytes(buffer.getvalue())


def fetch() -> None:
    """Type ``retrieval fetch`` while the small archive stands for the published one."""
    content = Path("served.zip").read_bytes()
    module = stanford_online_products
    with FlakyServer() as server:
        server.files["archive"] = content
        module.COUNTS = Counts(8, 8, 2, 2)
        digest = f"md5:{hashlib.md5(content).hexdigest()}"
        module.ARCHIVE = replace(module.ARCHIVE, url=server.url("archive"), digest=digest)
        os.environ["NO_PROXY"] = "127.0.0.1"
        type_command("fetch sop --data data/sop")


COMMANDS = {
    command.name: command
    for command in (
        Command("note", lambda: note(9), imported),
        Command("note, first of version 0.1.0", lambda: note(9), imported_old_notes),
        Command("import", IMPORT.format("a"), embeddings_only, again=EVALUATE),
        Command("import --overwrite", f"{IMPORT.format('b')} --overwrite", imported),
        Command("evaluate", f"{EVALUATE} --distance euclidean --ks 3", imported),
        Command("fetch", fetch, small_archive),
        Command("fetch --placeholder", "fetch sop --placeholder --data data/sop", photos),
        Command(
            "train", f"{TRAIN} --steps 4 --eval-every 2", photos, again=EVALUATE,
            resume="train --resume runs/folder/one", needs_tensorflow=True,
        ),
        Command(
            "train, frozen backbone, snapshots",
            f"{TRAIN} --steps 4 --eval-every 2 --freeze-backbone --keep-embeddings --eval-split "
            "test --use-checkpoint best",
            photos, again=EVALUATE, resume="train --resume runs/folder/one", needs_tensorflow=True,
        ),
        Command(
            "train --overwrite", f"{TRAIN} --steps 3 --eval-every 3 --overwrite", trained,
            needs_tensorflow=True,
        ),
        Command(
            "embed", "embed runs/folder/one --test-time flip", trained, needs_tensorflow=True
        ),
        Command("sweep", "sweep grid.yaml", grid, needs_tensorflow=True),
    )
}  # fmt: skip
