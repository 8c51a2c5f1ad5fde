"""Do ranked lists get the figures of pytrec_eval and ranx? Random cases, full of equal scores.

Run: ``pip install ranx``, then ``python -m benchmarks.ranked`` (minutes: ranx compiles). It writes
``results/ranked.md``, and ``tests/evaluation/ranx.json``, with which the tests compare.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytrec_eval

from tests.evaluation.test_ranked import random_run, ranx_case, trec

OUT = Path(__file__).parent / "results" / "ranked.md"
STORED = Path(__file__).parents[1] / "tests" / "evaluation" / "ranx.json"
TREC_EVAL = {
    "map": "map", "r_precision": "Rprec", "mrr": "recip_rank", "recall@1": "success_1",
    "recall@5": "success_5", "recall@10": "success_10", "ndcg@10": "ndcg_cut_10",
    "map@100": "map_cut_100", "precision@1": "P_1",
}  # fmt: skip
ASKED = {"map", "Rprec", "recip_rank", "success.1,5,10", "ndcg_cut.10", "map_cut.100", "P.1"}
RANX = {
    "map": "map", "r_precision": "r-precision", "mrr": "mrr", "recall@5": "hit_rate@5",
    "ndcg@10": "ndcg@10",
}  # fmt: skip


def of_pytrec_eval(seed: int) -> float:
    """Return the largest difference of any figure of any query of one case."""
    rng = np.random.default_rng(seed)
    depth, levels, grades = rng.integers(1, 60), rng.integers(1, 40), rng.integers(2, 6)
    run, qrels = random_run(seed, depth=int(depth), levels=int(levels), grades=int(grades))
    judged = pytrec_eval.RelevanceEvaluator(qrels, ASKED).evaluate(run)
    found = trec(run, qrels)
    return max(
        float(np.abs(found.per_query[ours] - [judged[q][theirs] for q in sorted(qrels)]).max())
        for ours, theirs in TREC_EVAL.items()
    )


def ranx_figures(seed: int) -> dict[str, float]:
    """Return the means that ranx computes."""
    import ranx

    run, qrels = ranx_case(seed)
    judged = ranx.evaluate(ranx.Qrels(qrels), ranx.Run(run), list(RANX.values()))
    return {ours: float(judged[theirs]) for ours, theirs in RANX.items()}


def of_ranx(seed: int) -> float:
    """Return the largest difference of any mean of one case."""
    found = trec(*ranx_case(seed), ties="listed").metrics
    return max(abs(found[name] - value) for name, value in ranx_figures(seed).items())


def main() -> None:
    """Compare, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=300)
    options = parser.parse_args()
    STORED.write_text(json.dumps([ranx_figures(seed) for seed in range(3)], indent=2) + "\n")
    lines = [
        "# Ranked lists: pytrec_eval and ranx",
        "",
        f"`python -m benchmarks.ranked --cases {options.cases}`. Random runs full of equal scores, "
        "with grades. Of ranx, lists of 12 items: beyond 15 it orders ties in no stable way.",
        "",
        "| reference | cases | figures | largest difference |",
        "|---|---|---|---|",
    ]
    peers: list[tuple[str, Callable[[int], float], dict[str, str]]] = [
        ("pytrec_eval, every query", of_pytrec_eval, TREC_EVAL),
        ("ranx, means", of_ranx, RANX),
    ]
    for title, difference, figures in peers:
        most = max(difference(seed) for seed in range(options.cases))
        names = ", ".join(figures.values())
        lines.append(f"| {title} | {options.cases} | {names} | {most:.1e} |")
        print(lines[-1], flush=True)
    OUT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
