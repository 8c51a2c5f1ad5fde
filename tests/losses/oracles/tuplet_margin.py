import math

from tests.losses.oracles.parts import cosine, mean, negatives_of, positives_of


def oracle(labels, x, scale=64.0, slack=5.73):
    losses = []
    for a in range(len(x)):
        for p in positives_of(labels, a):
            eased = math.cos(math.acos(cosine(x[a], x[p])) - math.radians(slack))
            total = sum(
                math.exp(scale * (cosine(x[a], x[n]) - eased)) for n in negatives_of(labels, a)
            )
            if total:
                losses.append(math.log(1 + total))
    return mean(losses)
