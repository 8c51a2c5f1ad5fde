import math

from tests.losses.oracles.parts import MIXED, cosine, negatives_of, positives_of

CASES = [
    ({}, MIXED),
    ({"epsilon": None, "threshold": 1.0}, MIXED),
]


def oracle(labels, x, alpha=2.0, beta=50.0, threshold=0.5, epsilon=0.1):
    total = 0.0
    for i in range(len(x)):
        pos = [cosine(x[i], x[j]) for j in positives_of(labels, i)]
        neg = [cosine(x[i], x[j]) for j in negatives_of(labels, i)]
        if not pos or not neg:
            continue
        slack = 1e9 if epsilon is None else epsilon
        kept_pos = [s for s in pos if s < max(neg) + slack]
        kept_neg = [s for s in neg if s > min(pos) - slack]
        if kept_pos and kept_neg:
            pull = sum(math.exp(-alpha * (s - threshold)) for s in kept_pos)
            push = sum(math.exp(beta * (s - threshold)) for s in kept_neg)
            total += math.log(1 + pull) / alpha + math.log(1 + push) / beta
    return total / len(x)
