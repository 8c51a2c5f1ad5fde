"""Are several workers equal to one device, and what does their exchange cost?

python -m benchmarks.workers equality   # all 25 losses on 1, 2 and 3 workers
python -m benchmarks.workers speed      # steps per second of 1 and 2 workers
"""

import sys
import time

import numpy as np

from retrieval.cluster.processes import run_processes
from retrieval.losses import LOSSES
from tests.training.shared_training import BATCH, Case, differences, train_cases

EXTRA = {
    "contrastive_loss + memory": Case("contrastive_loss", memory={"size": 60, "start": 1}),
    "margin_loss + memory": Case("margin_loss", memory={"size": 60, "start": 1}),
    "proxy_anchor + matryoshka": Case("proxy_anchor", matryoshka={"widths": [4]}),
    "multi_similarity + clipped": Case("multi_similarity", clip_norm=0.3),
    "hard_triplet + batch norm": Case("hard_triplet", batch_norm=True),
    "hard_triplet + batch norm, frozen for 5 steps": Case(
        "hard_triplet", batch_norm=True, options={"freeze_steps": 5}
    ),
}


def equality() -> None:
    """Print a table: the largest relative differences of workers to one device."""
    named = {name: Case(name) for name in LOSSES} | EXTRA
    cases = [*named.values()]
    found = {
        size: run_processes(train_cases, {"cases": cases}, size=size, restarts=0)
        for size in (1, 2, 3)
    }
    again = run_processes(train_cases, {"cases": cases[:4]}, size=3, restarts=0)
    alone = found[1][0]
    print("| loss | workers | loss, 20 steps | first gradient | weights after 20 steps |")
    print("|---|---|---|---|---|")
    worst = dict.fromkeys(("losses", "gradients", "weights"), 0.0)
    for number, name in enumerate(named):
        for size in (2, 3):
            ranks = [of_rank[number] for of_rank in found[size]]
            each = [differences(alone[number], one) for one in ranks]
            most = {key: max(d[key] for d in each) for key in each[0]}
            worst = {key: max(worst[key], most[key]) for key in worst}
            print(f"| {name} | {size} | " + " | ".join(f"{v:.1e}" for v in most.values()) + " |")
    print(f"\nlargest: {worst}")
    equal = all(
        np.array_equal(a, b)
        for size in (2, 3)
        for number in range(len(cases))
        for of_rank in found[size][1:]
        for a, b in zip(found[size][0][number]["weights"], of_rank[number]["weights"], strict=True)
    )
    print(f"weights of all workers bit-identical: {equal}")
    same = all(
        np.array_equal(a, b)
        for number in range(4)
        for a, b in zip(found[3][0][number]["weights"], again[0][number]["weights"], strict=True)
    )
    print(f"a second training on 3 workers bit-identical: {same}")


def main() -> None:
    """Run what is named on the command line."""
    start = time.perf_counter()
    {"equality": equality}[sys.argv[1]]()
    print(f"{BATCH} rows per batch; {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
