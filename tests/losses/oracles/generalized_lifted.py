import math

from tests.losses.oracles.parts import distance, mean, negatives_of, positives_of


def oracle(labels, x, margin=1.0):
    losses = []
    for a in range(len(x)):
        pull = sum(math.exp(distance(x[a], x[p])) for p in positives_of(labels, a))
        push = sum(math.exp(margin - distance(x[a], x[n])) for n in negatives_of(labels, a))
        if pull and push:
            losses.append(max(math.log(pull) + math.log(push), 0.0))
    return mean(losses)
