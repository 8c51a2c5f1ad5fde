import math

from tests.losses.oracles.parts import BLOCKS, MIXED, distance, mean, negatives_of, positives_of

CASES = [
    ({}, MIXED),
    ({"margin": 2.5}, BLOCKS),
]


def oracle(labels, x, margin=1.0):
    terms = []
    for i in range(len(x)):
        for j in positives_of(labels, i):
            if j > i and negatives_of(labels, i):
                total = sum(
                    math.exp(margin - distance(x[i], x[k])) for k in negatives_of(labels, i)
                )
                total += sum(
                    math.exp(margin - distance(x[j], x[k])) for k in negatives_of(labels, j)
                )
                terms.append(max(0.0, math.log(total) + distance(x[i], x[j])) ** 2)
    return mean(terms) / 2
