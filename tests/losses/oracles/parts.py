"""What the oracles are made of, and the table they are in."""

import math

import numpy as np

ORACLES = {}


def oracle(function):
    ORACLES[function.__name__] = function
    return function


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
