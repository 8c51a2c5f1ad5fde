"""Small run folders with real results, and ways to edit them."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from retrieval.errors import UserError
from retrieval.evaluation import evaluate
from retrieval.runs.evaluate import write_metrics
from retrieval.runs.neighbors import write_neighbors
from retrieval.runs.run import Run
from retrieval.runs.store import open_run
from retrieval.runs.writing import write_config, write_settings
from retrieval.settings.recipes import load_recipe


def write_small_run(path: Path, *, classes: int = 4, per_class: int = 5) -> Path:
    """Write a run of random embeddings, evaluated under both protocols, and return its folder."""
    n = classes * per_class
    labels = np.repeat(np.arange(classes), per_class)
    roles = np.where(np.arange(n) % per_class < 2, "query", "gallery")
    items = pd.DataFrame(
        {
            "item": np.arange(n),
            "path": [f"{row}.jpg" for row in range(n)],
            "label": labels,
            "label_name": [f"class {label}" for label in labels],
            "split": "test",
            "role": roles,
        }
    )
    embeddings = np.random.default_rng(0).standard_normal((n, 3)).astype(np.float32)
    path.mkdir(parents=True)
    items.to_parquet(path / "items.parquet")
    np.save(path / "embeddings.npy", embeddings)
    dataset = {"name": path.parent.name, "root": "/data", "options": {}, "n_train": 9, "n_test": n}
    write_config(
        path,
        {
            "settings": {"loss": "lifted_loss", "seed": 0},
            "dataset": dataset,
            "provenance": {"seed": 0, "seconds": {"train": 2.0, "embed": 0.5}},
        },
    )
    results = {
        "leave_one_out": evaluate(embeddings, labels, n_bootstrap=20),
        "query_gallery": evaluate(embeddings, labels, roles.astype(object), n_bootstrap=20),
    }
    write_neighbors(path, results)
    titles = {"leave_one_out": "leave-one-out", "query_gallery": "cross-store"}
    write_metrics(path, results, titles, path.parent.name)
    return path


def edit(path: Path, file: str, *keys: str | int, to: object) -> None:
    """Set, or with ``...`` remove, one entry of a run's ``config.yaml`` or ``metrics.json``."""
    content = part = yaml.safe_load((path / file).read_text())  # JSON is YAML
    for key in keys[:-1]:
        part = part[key]
    if to is ...:
        del part[keys[-1]]
    else:
        part[keys[-1]] = to
    (path / file).write_text(json.dumps(content))


def with_settings(run: Run, **changes: object) -> Run:
    """Change the recorded settings of a run and open it again."""
    for name, value in changes.items():
        edit(run.path, "config.yaml", "settings", name, to=value)
    return Run(run.path)


def made_by_recipe(run: Run, recipe: str, **changes: object) -> Run:
    """Record the settings of a recipe with changes, and open the run again."""
    write_settings(run.path, load_recipe(recipe).train_settings(changes))
    return Run(run.path)


def with_dataset_options(run: Run, **options: object) -> Run:
    """Replace the recorded options of a run's data set and open it again."""
    edit(run.path, "config.yaml", "dataset", "options", to=options)
    return Run(run.path)


def reason_not_opened(path: Path) -> str:
    """Return why a run folder cannot be opened, or an empty text if it can."""
    try:
        open_run(path)
    except UserError as error:
        return str(error)
    return ""
