"""Train a planned run and embed its test split, in the run's partial folder."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from retrieval.datasets.catalog import Catalog
from retrieval.runs.judgments import write_judgments
from retrieval.runs.live import EMBEDDING
from retrieval.runs.places import partial_path
from retrieval.runs.writing import write_embeddings
from retrieval.settings.schema import UNTRAINED, TrainSettings
from retrieval.training.interruption import check_stop
from retrieval.training.live import LiveRecord
from retrieval.training.workers import Workers

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class PlannedRun:
    """A run that is ready to be trained.

    Attributes:
        path: The run's final folder.
        settings: Checked and resolved settings.
        catalog: Data set to train and evaluate on.
    """

    path: Path
    settings: TrainSettings
    catalog: Catalog


def train_and_embed(
    planned: PlannedRun,
    *,
    evaluate: bool,
    progress: bool,
    live: LiveRecord,
    watch: Callable[[pd.DataFrame], None] | None = None,
    callbacks: Sequence["keras.callbacks.Callback"] = (),
    checkpoint: str = "latest",
    workers: Workers | None = None,
) -> dict[str, float]:
    """Train a run to its last step and write the embeddings of its test split.

    Args:
        planned: The run, whose partial folder is there.
        evaluate: Whether it is to be evaluated, so that embeddings are wanted.
        progress: Whether to show progress bars.
        live: Record of what the training is at.
        watch: Called with the history so far. Defaults to None, no call.
        callbacks: Further Keras callbacks. Defaults to none.
        checkpoint: The checkpoint to continue from. Defaults to ``latest``.
        workers: The workers of which this process is the chief. Defaults to None: it trains alone.

    Returns:
        Seconds of each stage.
    """
    from retrieval.training.embed_test_split import embed_test_split  # loads TensorFlow
    from retrieval.training.fit import fit

    settings, catalog = planned.settings, planned.catalog
    folder, network = partial_path(planned.path), None
    seconds: dict[str, float] = {}
    if settings.loss != UNTRAINED:
        with timed(seconds, "train"):
            network = fit(
                settings,
                catalog,
                folder,
                progress=progress,
                watch=watch,
                callbacks=callbacks,
                checkpoint=checkpoint,
                live=live,
                workers=workers,
            )
    check_stop()
    if evaluate:
        live.enter(EMBEDDING)
        with timed(seconds, "embed"):
            embeddings, rows = embed_test_split(
                folder, settings, catalog, network, progress=progress
            )
        write_embeddings(folder, embeddings, rows)
        write_judgments(folder, catalog.judgments_of(rows))
    return seconds


@contextmanager
def timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Add the wall time of the block to ``seconds[stage]``.

    Args:
        seconds: Stage -> seconds so far.
        stage: The stage.

    Yields:
        Nothing.
    """
    start = time.perf_counter()
    try:
        yield
    finally:
        seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - start
