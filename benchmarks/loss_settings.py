"""Which settings of each loss work best on Grocery, over seeds and paired with the default.

    python benchmarks/loss_settings.py [--losses all|NAME,NAME] [--seeds 3] [--steps 500]
    python benchmarks/loss_settings.py --fine-tune --steps 60 --size 128   # the whole network
        [--setting OPTION]   # only the settings that set this option, e.g. temperature

Writes a Markdown table: for each loss its default and every setting tried, R@1 cross-store and
leave-one-out (mean over the seeds), and the difference from the default seed by seed (mean, and its
range over the seeds). A setting counts as better if it wins with every seed.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from retrieval.quiet import import_tensorflow

import_tensorflow()

from retrieval import LOSSES, TrainSettings, evaluate, load_catalog
from retrieval.datasets.catalog import Catalog
from retrieval.embedding.embed import embed_features, embed_images
from retrieval.embedding.features import backbone_features
from retrieval.settings.resolve import resolve
from retrieval.training.fit import fit

PROTOCOLS = {"query_gallery": "cross-store", "leave_one_out": "leave-one-out"}
FINE_TUNED = {
    "augment": "strong",
    "backbone_multiplier": 0.3,
    "schedule": "cosine",
    "warmup_steps": 10,
}
# Loss -> settings tried beside the default. Keys of settings other than the loss's options are
# settings of the run: classes_per_batch, samples_per_class, normalize.
BATCH = ("classes_per_batch", "samples_per_class", "normalize")
TRIED: dict[str, list[dict]] = {
    "hard_triplet": [{"margin": "soft"}, {"margin": 0.2, "normalize": True}, {"margin": 0.5}],
    "semi_hard_triplet": [{"margin": 0.1}, {"margin": 0.5}, {"margin": "soft"}],
    "lifted_loss": [{"margin": 0.5, "normalize": True}, {"margin": 2.0}],
    "npairs_loss": [{"regularizer": 0.02}, {"classes_per_batch": 40, "samples_per_class": 2}],
    "angular_loss": [{"degree": 40.0}, {"degree": 36.0}, {"degree": 40.0, "form": "log_sum"}],
    "contrastive_loss": [
        {"pairs": "all"},
        {"pairs": "active"},
        {"pairs": "active", "power": 1},
        {"pairs": "active", "power": 1, "margin": 0.5},
    ],
    "margin_loss": [{"beta": 0.6}, {"beta": 1.0}, {"margin": 0.1}],
    "multi_similarity": [
        {"beta": 10.0},
        {"alpha": 2.0, "beta": 40.0, "threshold": 1.0},
        {"classes_per_batch": 30, "samples_per_class": 4},
    ],
    "proxy_nca": [
        {"temperature": 0.05},
        {"own_in_denominator": False},
        {"classes_per_batch": 30, "samples_per_class": 4},
        {"learning_rate_multiplier": 10.0},
    ],
    "proxy_anchor": [
        {"scale": 16.0},
        {"learning_rate_multiplier": 10.0},
        {"classes_per_batch": 30, "samples_per_class": 4},
    ],
    "normalized_softmax": [
        {"temperature": 0.1},
        {"learning_rate_multiplier": 1.0},
        {"classes_per_batch": 30, "samples_per_class": 4},
    ],
    "arcface": [{"margin": 0.2}, {"scale": 32.0}, {"margin": 0.2, "scale": 16.0}],
    "cosface": [{"margin": 0.2}, {"scale": 32.0}, {"margin": 0.2, "scale": 16.0}],
    "soft_triple": [
        {"centers_per_class": 2},
        {"learning_rate_multiplier": 10.0},
        {"classes_per_batch": 30, "samples_per_class": 4},
    ],
    "circle": [{"scale": 32.0}, {"margin": 0.25}],
    "supervised_contrastive": [{"temperature": 0.05}, {"temperature": 0.2}],
    "ntxent": [{"temperature": 0.05}, {"temperature": 0.2}],
    "fastap": [{"bins": 20}, {"classes_per_batch": 30, "samples_per_class": 4}],
    "smooth_ap": [{"temperature": 0.05}, {"classes_per_batch": 40, "samples_per_class": 3}],
    "generalized_lifted": [{"margin": 0.5, "normalize": True}, {"margin": 2.0}],
    "ranked_list": [{"alpha": 1.4}, {"margin": 0.2}, {"negative_temperature": 5.0}],
    "histogram": [{"bins": 100}, {"classes_per_batch": 30, "samples_per_class": 4}],
    "tuplet_margin": [{"scale": 32.0}, {"scale": 16.0}, {"slack": 10.0}],
    "recall_at_k": [
        {"rank_temperature": 0.05},
        {"ks": [1, 2, 4]},
        {"classes_per_batch": 40, "samples_per_class": 4},
    ],
    "mined_triplet": [{"miner": "distance_weighted"}, {"margin": 0.1}],
}


def measure(
    base: TrainSettings, catalog: Catalog, loss: str, tried: dict, seed: int
) -> dict[str, float]:
    """Train one network; return its Recall@1 by protocol."""
    options = {name: value for name, value in tried.items() if name not in BATCH}
    of_run = {name: value for name, value in tried.items() if name in BATCH}
    wanted = base.with_(loss=loss, loss_options=options, seed=seed, **of_run)
    settings, test = resolve(wanted, catalog), catalog.split("test")
    with tempfile.TemporaryDirectory() as folder:
        network = fit(settings, catalog, Path(folder), progress=False)
    if settings.freeze_backbone:
        features = backbone_features(catalog, settings, progress=False)
        embeddings = embed_features(network, features[test.index])
    else:
        embeddings = embed_images(network, catalog, test, settings, progress=False)
    labels, roles = test["label"].to_numpy(), test["role"].to_numpy(dtype=object)
    quiet = {"n_bootstrap": 0, "kmeans": "none"}
    return {
        "query_gallery": evaluate(embeddings, labels, roles, **quiet).metrics["recall@1"],
        "leave_one_out": evaluate(embeddings, labels, **quiet).metrics["recall@1"],
    }


def row(loss: str, tried: dict, found: list[dict], default: list[dict]) -> str:
    """Return a line of the table: means over the seeds, and differences from the default."""
    cells = [loss, ", ".join(f"{k} {v}" for k, v in tried.items()) or "default"]
    for name in PROTOCOLS:
        cells.append(f"{statistics.mean(one[name] for one in found):.3f}")
        apart = [one[name] - own[name] for one, own in zip(found, default, strict=True)]
        if not tried:
            cells.append("")
            continue
        mark = " better" if min(apart) > 0 else " worse" if max(apart) < 0 else ""
        cells.append(f"{statistics.mean(apart):+.3f} [{min(apart):+.3f}, {max(apart):+.3f}]{mark}")
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Train every setting and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--losses", default="all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--data")
    parser.add_argument("--fine-tune", action="store_true")
    parser.add_argument("--setting", default="", help="only settings that set this option")
    args = parser.parse_args()
    base = TrainSettings(
        dataset="grocery", data=args.data, steps=args.steps, image_size=args.size,
        freeze_backbone=not args.fine_tune, **(FINE_TUNED if args.fine_tune else {}),
    )  # fmt: skip
    catalog = load_catalog("grocery", args.data)
    names = list(LOSSES) if args.losses == "all" else args.losses.split(",")
    columns = [f"{title} R@1 | difference" for title in PROTOCOLS.values()]
    print(f"| loss | setting | {' | '.join(columns)} |\n|---|---|---|---|---|---|", flush=True)
    start = time.perf_counter()
    for loss in names:
        default: list[dict] = []
        for tried in (
            {},
            *(each for each in TRIED[loss] if not args.setting or args.setting in each),
        ):
            found = [measure(base, catalog, loss, tried, seed) for seed in range(args.seeds)]
            default = default or found
            print(row(loss, tried, found, default), flush=True)
    print(f"\n{(time.perf_counter() - start) / 60:.0f} minutes", flush=True)


if __name__ == "__main__":
    main()
