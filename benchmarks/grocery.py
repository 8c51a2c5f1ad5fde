"""Every loss on photos of Grocery, and pytorch-metric-learning's on the same frozen features.

    python benchmarks/grocery.py [--losses all|six|NAME,NAME] [--seeds 3] [--steps 500] [--size 128]
    python benchmarks/grocery.py --fine-tune --steps 100      # the whole network, 128 px

Prints a Markdown table of R@1, MAP@R and NMI, cross-store and leave-one-out: mean and standard
deviation over the seeds. Rows of pytorch-metric-learning (the "peer") appear if it is installed and
the backbone is frozen.
"""

import argparse
import importlib.util
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from retrieval.quiet import import_tensorflow

import_tensorflow()

import numpy as np
import pandas as pd

from retrieval import LOSSES, TrainSettings, evaluate, load_catalog, open_run, train
from retrieval.embedding.features import backbone_features
from retrieval.experiment.session import BASELINE_LOSSES
from retrieval.settings.resolve import resolve

METRICS = ("recall@1", "map@r", "nmi")
PROTOCOLS = ("query_gallery", "leave_one_out")
FINE_TUNED = {
    "image_size": 128,
    "augment": "strong",
    "backbone_multiplier": 0.3,
    "schedule": "cosine",
    "warmup_steps": 10,
}
VARIANTS = {
    "contrastive_loss, all pairs": ("contrastive_loss", {"pairs": "all"}),
    "contrastive_loss, active pairs": ("contrastive_loss", {"pairs": "active"}),
    "contrastive_loss, active pairs, power 1 (the peer's)": (
        "contrastive_loss",
        {"pairs": "active", "power": 1},
    ),
}


Scores = dict[tuple[str, str], float]  # (protocol, metric) -> value


def ours(base: TrainSettings, name: str, options: dict, seed: int) -> Scores:
    """Train and evaluate a run with one of our losses."""
    settings = base.with_(loss=name, loss_options=options, seed=seed)
    with tempfile.TemporaryDirectory() as runs:
        run = open_run(train(settings, runs=runs, progress=False))
        return {(p, m): run.result(p).metrics[m].value for p in PROTOCOLS for m in METRICS}


def peer(base: TrainSettings, name: str, seed: int) -> Scores:
    """Train and evaluate a head with the same loss of pytorch-metric-learning."""
    import torch
    from grocery_peer import train_peer

    catalog = load_catalog("grocery", base.data)
    features = backbone_features(catalog, resolve(base.with_(loss=name), catalog))
    rows, test = catalog.split("train"), catalog.split("test")
    classes = np.unique(rows["label"], return_inverse=True)[1]
    head = train_peer(name, features[rows.index], classes, base.embedding_size, base.steps, seed)
    with torch.no_grad():
        embeddings = head(torch.from_numpy(np.array(features[test.index]))).numpy()
    labels, roles = test["label"].to_numpy(), test["role"].to_numpy()
    results = {
        "query_gallery": evaluate(embeddings, labels, roles, n_bootstrap=0),
        "leave_one_out": evaluate(embeddings, labels, n_bootstrap=0),
    }
    return {(p, m): results[p].metrics[m] for p in PROTOCOLS for m in METRICS}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--losses", default="six")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--fine-tune", action="store_true", help="train the whole network")
    parser.add_argument("--data", default=None)
    return parser.parse_args()


def base_settings(options: argparse.Namespace) -> TrainSettings:
    base = TrainSettings(
        dataset="grocery",
        data=options.data,
        freeze_backbone=True,
        steps=options.steps,
        embedding_size=options.size,
    )
    return base.with_(freeze_backbone=False, **FINE_TUNED) if options.fine_tune else base


def table_row(key: tuple[str, str], mean: Scores, deviation: Scores) -> str:
    cells = [f"{mean[p, m]:.3f} ({deviation[p, m]:.3f})" for p in PROTOCOLS for m in METRICS]
    return f"| {key[0]} | {key[1]} | " + " | ".join(cells) + " |"


def main() -> None:
    options = parse()
    base = base_settings(options)
    groups = {"all": list(LOSSES), "six": list(BASELINE_LOSSES)}
    names = [n for part in options.losses.split(",") for n in groups.get(part, [part])]
    # (who, loss) -> scores by seed
    ways: dict[tuple[str, str], Callable[[int], Scores]] = {
        ("ours", name): partial(ours, base, name, {}) for name in names
    }
    if not options.fine_tune:
        for variant, (name, loss_options) in VARIANTS.items():
            ways["ours", variant] = partial(ours, base, name, loss_options)
    if not options.fine_tune and importlib.util.find_spec("pytorch_metric_learning"):
        for name in BASELINE_LOSSES:
            ways["peer", name] = partial(peer, base, name)
    start = time.perf_counter()
    rows = [ours(base, "none", {}, 0)]
    lines = {("frozen features", "no training"): (rows[0], {k: 0.0 for k in rows[0]})}
    for key, way in ways.items():
        frame = pd.DataFrame([way(seed) for seed in range(options.seeds)])
        lines[key] = (frame.mean().to_dict(), frame.std(ddof=1).to_dict())
        print(f"done: {table_row(key, *lines[key])}", flush=True)
    how = "128 px, the whole network" if options.fine_tune else "160 px, frozen"
    print(
        f"\nEfficientNet-Lite0, {how}; {options.size}-d head, {options.steps} steps, "
        f"Adam 3e-4, {options.seeds} seeds; mean (sd); {time.perf_counter() - start:.0f} s\n"
    )
    heads = [f"{p} {m}" for p in ("cross-store", "leave-one-out") for m in METRICS]
    print("| | loss | " + " | ".join(heads) + " |\n|---|---|" + "---|" * len(heads))
    order = sorted(lines, key=lambda k: -lines[k][0]["query_gallery", "recall@1"])
    for key in order:
        print(table_row(key, *lines[key]))


if __name__ == "__main__":
    main()
