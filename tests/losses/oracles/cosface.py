from tests.losses.oracles.parts import MIXED, cosine, cross_entropy, mean

CASES = [
    ({"scale": 8.0}, MIXED),
]


def oracle(labels, x, proxies, margin=0.35, scale=64.0):
    losses = []
    for i in range(len(x)):
        cosines = [cosine(x[i], w) for w in proxies]
        cosines[labels[i]] -= margin
        losses.append(cross_entropy([scale * c for c in cosines], labels[i]))
    return mean(losses)
