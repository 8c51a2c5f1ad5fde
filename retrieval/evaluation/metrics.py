"""The registry of metrics."""

TITLES = {f"recall@{k}": f"R@{k}" for k in (1, 2, 4, 8, 10, 20, 30, 40, 50, 100, 1000)} | {
    "r_precision": "R-Precision",
    "map@r": "MAP@R",
    "map": "mAP",
    "mrr": "MRR",
    "nmi": "NMI",
}
