import math

from tests.losses.oracles.parts import BLOCKS, MIXED, cosine, mean, negatives_of, positives_of

CASES = [
    ({"scale": 8.0}, MIXED),
    ({}, BLOCKS),
]


def oracle(labels, x, margin=0.4, scale=80.0, fixed=None):
    fixed = x if fixed is None else fixed
    losses = []
    for i in range(len(x)):
        push = pull = 0.0
        for j in negatives_of(labels, i):
            weight = max(cosine(fixed[i], fixed[j]) + margin, 0.0)
            push += math.exp(scale * weight * (cosine(x[i], x[j]) - margin))
        for j in positives_of(labels, i):
            weight = max(1 + margin - cosine(fixed[i], fixed[j]), 0.0)
            pull += math.exp(-scale * weight * (cosine(x[i], x[j]) - 1 + margin))
        if push and pull:
            losses.append(math.log(1 + push * pull))
    return mean(losses)
