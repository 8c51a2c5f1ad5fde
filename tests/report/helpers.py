"""Runs to report on, made from synthetic embeddings."""

import numpy as np
import pandas as pd

from retrieval.runs.importing import import_files
from retrieval.runs.store import open_run
from retrieval.runs.writing import write_settings
from retrieval.settings.schema import TrainSettings

CLASSES, EACH = 12, 6


def make_run(root, name, *, noise, seed=0, loss=None, training_seed=0, classes=CLASSES, **options):
    """A real run from synthetic embeddings; with ``loss``, as if trained."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), EACH)
    centers = np.random.default_rng(99).standard_normal((classes, 16))
    x = centers[labels] + noise * rng.standard_normal((len(labels), 16))
    np.save(root / "e.npy", x.astype(np.float32))
    frame = pd.DataFrame({"path": [f"{i}.jpg" for i in range(len(labels))], "label": labels})
    frame.to_csv(root / "i.csv", index=False)
    path = import_files(
        root / "runs" / "shapes" / name,
        [(root / "e.npy", root / "i.csv")],
        image_root=root,
        progress=False,
        **options,
    )
    if loss:
        write_settings(path, TrainSettings(loss=loss, seed=training_seed, steps=5))
    return open_run(path)
