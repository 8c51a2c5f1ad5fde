import math

import numpy as np

from tests.losses.oracles.parts import BLOCKS, MIXED, PAIRED, mean

CASES = [
    ({}, PAIRED),
    ({"degree": 36}, BLOCKS),
    ({"degree": 40, "form": "log_sum"}, PAIRED),
    ({"form": "log_sum"}, MIXED),
    ({"regularizer": 0.5}, PAIRED),
    ({"form": "log_sum", "regularizer": 0.5}, MIXED),
]


def oracle(labels, x, degree=45.0, form="softmax", regularizer=0.0):
    tan2 = math.tan(math.radians(degree)) ** 2
    pairs = len(x) // 2
    losses = []
    for i in range(pairs):
        a, p = x[2 * i], x[2 * i + 1]
        own = 2 * (1 + tan2) * float(a @ p)
        if form == "log_sum":
            others = [n for n in range(len(x)) if labels[n] != labels[2 * i]]
            if others and labels[2 * i] == labels[2 * i + 1]:
                total = sum(math.exp(4 * tan2 * float((a + p) @ x[n]) - own) for n in others)
                losses.append(math.log(1 + total))
            continue
        logits = [4 * tan2 * float((a + p) @ x[2 * j + 1]) for j in range(pairs)]
        logits[i] = own
        same = [labels[2 * j + 1] == labels[2 * i] for j in range(pairs)]
        if any(same) and not all(same):
            norm = math.log(sum(math.exp(v) for v in logits))
            losses.append(mean([norm - v for v, s in zip(logits, same, strict=True) if s]))
    a, p = x[0 : 2 * pairs : 2], x[1 : 2 * pairs : 2]
    squares = np.mean(np.sum(a**2, axis=1)) + np.mean(np.sum(p**2, axis=1))
    return mean(losses) + 0.25 * regularizer * squares if losses else 0.0
