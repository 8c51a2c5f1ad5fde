from tests.losses.oracles.parts import (
    BLOCKS,
    MIXED,
    distance,
    hinge,
    mean,
    negatives_of,
    positives_of,
)

CASES = [
    ({}, MIXED),
    ({"margin": 2.0}, BLOCKS),
    ({"margin": "soft"}, MIXED),
]


def oracle(labels, x, margin=0.2):
    losses = []
    for a in range(len(x)):
        squares = [distance(x[a], x[n]) ** 2 for n in negatives_of(labels, a)]
        for p in positives_of(labels, a):
            positive = distance(x[a], x[p]) ** 2
            beyond = [s for s in squares if s > positive]
            if squares:
                losses.append(hinge(positive - (min(beyond) if beyond else max(squares)), margin))
    return mean(losses)
