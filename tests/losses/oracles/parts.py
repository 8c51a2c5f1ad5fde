"""Parts that oracles share: small batches of labels, distances, and sums over pairs."""

import math

import numpy as np

# Labels of the batches that the oracles are compared on.
# Unbalanced, in no order, with a class of one item (3) and an odd number of rows.
MIXED = np.array([0, 1, 0, 2, 1, 0, 3, 2, 1, 1, 0])
# Rows of a P x K batch, for losses that read pairs off the order of the rows.
PAIRED = np.repeat(np.arange(5), 2)
BLOCKS = np.repeat(np.arange(3), 4)
# One class with many more items than the other.
CROWDED = np.array([0] * 9 + [1] * 2)


def distance(a, b, kind="euclidean"):
    if kind == "euclidean":
        return math.sqrt(sum((p - q) ** 2 for p, q in zip(a, b, strict=True)))
    if kind == "squared_euclidean":
        return sum((p - q) ** 2 for p, q in zip(a, b, strict=True))
    if kind == "cityblock":
        return sum(abs(p - q) for p, q in zip(a, b, strict=True))
    return 1 - cosine(a, b)


def cosine(a, b):
    return float(np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b)))


def sigmoid(z):
    return 1 / (1 + math.exp(-z)) if z >= 0 else math.exp(z) / (1 + math.exp(z))


def positives_of(labels, i):
    return [j for j in range(len(labels)) if j != i and labels[j] == labels[i]]


def negatives_of(labels, i):
    return [j for j in range(len(labels)) if labels[j] != labels[i]]


def mean(values):
    return sum(values) / len(values) if values else 0.0


def hinge(gap, margin):
    if margin == "soft":
        return math.log(1 + math.exp(gap))
    return gap if margin == "none" else max(gap + margin, 0.0)


def cross_entropy(logits, target):
    return math.log(sum(math.exp(v) for v in logits)) - logits[target]


def soft_histogram(values, low, high, bins):
    """Counts at bins + 1 nodes by the papers' triangular kernel."""
    step = (high - low) / bins
    nodes = [low + step * r for r in range(bins + 1)]
    return [sum(max(0.0, 1 - abs(v - node) / step) for v in values) for node in nodes]
