import math

import numpy as np

from tests.losses.oracles.parts import MIXED, distance, mean

CASES = [
    ({}, MIXED),
    ({"own_in_denominator": False, "temperature": 1.0}, MIXED),
]


def oracle(labels, x, proxies, temperature=1 / 9, own_in_denominator=True):
    losses = []
    for i in range(len(x)):
        unit = x[i] / np.linalg.norm(x[i])
        closeness = [
            math.exp(-(distance(unit, p / np.linalg.norm(p)) ** 2) / temperature) for p in proxies
        ]
        own = closeness[labels[i]]
        total = sum(closeness) - (0 if own_in_denominator else own)
        losses.append(-math.log(own / total))
    return mean(losses)
