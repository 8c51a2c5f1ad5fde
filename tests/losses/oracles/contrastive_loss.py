import math

from tests.losses.oracles.parts import BLOCKS, MIXED, distance, mean

CASES = [
    ({}, BLOCKS),
    ({"margin": 3.0}, MIXED),
    ({}, BLOCKS[:6]),
    ({"margin": 2.0, "pairs": "all"}, MIXED),
    ({"margin": 2.0, "pairs": "active", "power": 1}, MIXED),
    ({"power": 1}, BLOCKS),
]


def oracle(labels, x, margin=1.0, pairs="blocks", power=2):
    def term(i, j):
        d = math.sqrt(distance(x[i], x[j]) ** 2 + 1e-5)
        return (d if labels[i] == labels[j] else max(margin - d, 0.0)) ** power

    if pairs != "blocks":
        every = [(i, j) for i in range(len(x)) for j in range(len(x)) if i != j]
        same = [term(i, j) for i, j in every if labels[i] == labels[j]]
        other = [term(i, j) for i, j in every if labels[i] != labels[j]]
        if pairs == "active":
            other = [value for value in other if value > 0]
        return 0.5 * (mean(same) + mean(other))
    order, whole = [], len(x) // 8 * 8
    for start in range(0, whole, 8):
        order += [start + k for k in (0, 1, 4, 3, 2, 5, 6, 7)]
    if not whole:
        order = list(range(len(x)))
    return mean([term(order[k], order[k + 1]) for k in range(0, len(order) - 1, 2)])
