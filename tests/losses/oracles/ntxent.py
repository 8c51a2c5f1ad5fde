import math

from tests.losses.oracles.parts import cosine, mean, negatives_of, positives_of


def oracle(labels, x, temperature=0.1):
    losses = []
    for i in range(len(x)):
        rest = sum(math.exp(cosine(x[i], x[n]) / temperature) for n in negatives_of(labels, i))
        for j in positives_of(labels, i):
            own = math.exp(cosine(x[i], x[j]) / temperature)
            if rest:
                losses.append(-math.log(own / (own + rest)))
    return mean(losses)
