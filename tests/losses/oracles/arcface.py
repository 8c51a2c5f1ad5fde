import math

from tests.losses.oracles.parts import MIXED, cosine, cross_entropy, mean

CASES = [
    ({"scale": 8.0}, MIXED),
    ({"margin": 1.2, "scale": 4.0}, MIXED),
]


def oracle(labels, x, proxies, margin=0.5, scale=64.0):
    losses = []
    for i in range(len(x)):
        cosines = [cosine(x[i], w) for w in proxies]
        angle = math.acos(cosines[labels[i]])
        if angle + margin <= math.pi:
            cosines[labels[i]] = math.cos(angle + margin)
        else:
            cosines[labels[i]] -= margin * math.sin(margin)
        losses.append(cross_entropy([scale * c for c in cosines], labels[i]))
    return mean(losses)
