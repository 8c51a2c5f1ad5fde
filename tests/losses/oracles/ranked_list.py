import math

from tests.losses.oracles.parts import MIXED, distance, negatives_of, positives_of

CASES = [
    ({}, MIXED),
    ({"positive_temperature": 3.0, "balance": 0.2}, MIXED),
]


def oracle(
    labels,
    x,
    alpha=1.2,
    margin=0.4,
    negative_temperature=10.0,
    positive_temperature=0.0,
    balance=0.5,
    fixed=None,
):
    fixed = x if fixed is None else fixed
    inner, total = alpha - margin, 0.0
    for i in range(len(x)):
        pull = [j for j in positives_of(labels, i) if distance(fixed[i], fixed[j]) > inner]
        push = [j for j in negatives_of(labels, i) if distance(fixed[i], fixed[j]) < alpha]
        sides = (
            (1 - balance, pull, positive_temperature, lambda d: d - inner),
            (balance, push, negative_temperature, lambda d: alpha - d),
        )
        for share, chosen, temperature, violation in sides:
            weights = [
                math.exp(temperature * violation(distance(fixed[i], fixed[j]))) for j in chosen
            ]
            for weight, j in zip(weights, chosen, strict=True):
                total += share * weight / sum(weights) * violation(distance(x[i], x[j]))
    return total / len(x)
