"""The evaluation engine and other libraries' at the size of Stanford Online Products.

    python benchmarks/evaluation.py --quick                   # 15,000 items: a minute or two
    python benchmarks/evaluation.py --peer PEER/bin/python --output benchmarks/results/evaluation.md

``--peer`` names an interpreter that has pytorch-metric-learning (default: this one, if it does).
Every stage runs in a process of its own, so that its peak memory is its own (libraries included).
Whatever is compared is measured in turn, ``--rounds`` times: a ratio is taken within each round,
and its median and range are reported. Other work on the machine then disturbs both of its sides.
The set: Gaussian classes with noise 1.2, L2-normalized; 60,502 items of 11,316 classes.
"""

import argparse
import platform
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from evaluation_tables import (
    SOP,
    approximate_table,
    clustering_table,
    growth_table,
    make,
    million_table,
    search_tables,
    umap_table,
)

QUICK = (15_000, 2_800)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="15,000 items, no growth, no disk")
    parser.add_argument("--peer", help="interpreter with pytorch-metric-learning")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--skip-sklearn", action="store_true", help="leave out its minutes")
    parser.add_argument("--only", nargs="*", help="search, wide, nmi, growth, disk, ...")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    peer = options.peer or (sys.executable if find_spec("pytorch_metric_learning") else None)
    n, classes = QUICK if options.quick else SOP
    parts = options.only or ["search", "nmi", "approximate"]
    if not options.quick and not options.only:
        parts += ["wide", "growth", "disk", "umap"]
    lines = ["## Evaluation", "", f"{platform.machine()}, Python {platform.python_version()}."]
    with tempfile.TemporaryDirectory() as folder:
        data = make(folder, n, 128, classes)
        tables = {
            "search": lambda: search_tables(data, peer, options.rounds, folder),
            "wide": lambda: search_tables(
                make(folder, n, 512, classes), peer, options.rounds, folder
            ),
            "nmi": lambda: clustering_table(data, peer, options.rounds, not options.skip_sklearn),
            "approximate": lambda: approximate_table(data),
            "growth": lambda: growth_table(folder),
            "disk": lambda: million_table(folder, make(folder, 2_000, 128, 400)),
            "umap": lambda: umap_table(data, n),
        }
        for name in tables:
            lines += tables[name]() if name in parts else []
    text = "\n".join(lines) + "\n"
    print(text)
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text)


if __name__ == "__main__":
    main()
