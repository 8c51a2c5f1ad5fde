import math

import numpy as np

from tests.losses.oracles.parts import MIXED, distance, mean

CASES = [
    ({}, MIXED),
    ({"own_in_denominator": True}, MIXED),
    ({"temperature": 1.0}, MIXED),
]


def oracle(labels, x, proxies, temperature=1 / 9, own_in_denominator=False):
    losses = []
    for i in range(len(x)):
        unit = x[i] / np.linalg.norm(x[i])
        closeness = [
            math.exp(-(distance(unit, p / np.linalg.norm(p)) ** 2) / temperature) for p in proxies
        ]
        own = closeness[labels[i]]
        others = [value for label, value in enumerate(closeness) if label != labels[i]]
        total = sum(others) + (own if own_in_denominator else 0)
        losses.append(-math.log(own / total))
    return mean(losses)
