"""Folders of trainings that are not finished, as trainings and their ends leave them."""

import dataclasses
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from retrieval.runs.live import Live, SavedStep, queue_path
from retrieval.runs.places import LIVE_FILE, partial_path
from retrieval.runs.process import Process

STEPS = 1000


def process_gone() -> Process:
    """Return a process of this computer that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    return dataclasses.replace(Process.of_this_one(), pid=ended.pid)


def process_elsewhere() -> Process:
    return dataclasses.replace(Process.of_this_one(), host="gpu-17")


def live(**changes) -> Live:
    """Return what a training in its middle says about itself."""
    now = time.time()
    values = {
        "process": Process.of_this_one(), "started": now - 300, "updated": now - 1,
        "patience": 120.0, "stage": "training", "step": 437, "steps": STEPS, "loss": 0.431,
        "learning_rate": 3e-4, "images_per_second": 812.5, "seconds_left": 212.0,
        "device": "NVIDIA H200 (138 GiB), mixed float16", "memory": 3 << 30, "gpu_memory": 9 << 30,
        "checkpoint": SavedStep(400, now - 40), "command": "retrieval train --loss npairs_loss",
        "settings": {"loss": "npairs_loss", "backbone": "efficientnet_lite0",
                     "freeze_backbone": True, "embedding_size": 64, "classes_per_batch": 20,
                     "samples_per_class": 6, "learning_rate": 3e-4, "seed": 0},
        "recent": tuple((step, 0.45) for step in range(401, 438)), "has_worked": True,
    }  # fmt: skip
    return Live(**(values | changes))


def write_training(path: Path, said: Live | None, *, saved: int = 400, config: bool = True) -> Path:
    """Write the partial folder of a run and return it.

    Args:
        path: The run's final folder.
        said: What the training says; None for an older version, which says nothing.
        saved: Number of steps in ``history.csv``; 0 for no such file.
        config: Whether there is a ``config.yaml``.
    """
    folder = partial_path(path)
    folder.mkdir(parents=True)
    if config:
        (folder / "config.yaml").write_text("schema: 1\n")
    if saved:
        steps = np.arange(1, saved + 1)
        recall = np.where(steps % 100 == 0, 0.8 * (1 - np.exp(-steps / 90) / 2), np.nan)
        loss = 0.4 + np.exp(-steps / 120) + 0.03 * np.sin(steps)
        frame = {"step": steps, "loss": loss, "learning_rate": 3e-4, "recall@1": recall}
        pd.DataFrame(frame).to_csv(folder / "history.csv", index=False)
    if said is not None:
        (folder / LIVE_FILE).write_text(json.dumps(dataclasses.asdict(said)))
    return folder


def write_queue(root: Path, runs: dict[str, str], *, process: Process, errors=None) -> Path:
    """Write the list of the runs that one command makes."""
    file = queue_path(root, "grid")
    file.parent.mkdir(parents=True, exist_ok=True)
    values = {
        "process": dataclasses.asdict(process), "command": "retrieval sweep grid.yaml",
        "runs": runs, "errors": errors or {},
    }  # fmt: skip
    file.write_text(json.dumps(values))
    return file
