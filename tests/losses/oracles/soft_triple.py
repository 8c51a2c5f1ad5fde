import math

from tests.losses.oracles.parts import MIXED, cosine, cross_entropy, mean

CASES = [
    ({"centers_per_class": 2}, MIXED),
    ({"centers_per_class": 1}, MIXED),
]


def oracle(
    labels,
    x,
    proxies,
    scale=20.0,
    gamma=0.1,
    margin=0.01,
    centers_per_class=10,
    regularizer=0.2,
):
    size = centers_per_class
    classes = [proxies[k : k + size] for k in range(0, len(proxies), size)]
    losses = []
    for i in range(len(x)):
        logits = []
        for centers in classes:
            s = [cosine(x[i], w) for w in centers]
            shares = [math.exp(v / gamma) for v in s]
            logits.append(scale * sum(w * v for w, v in zip(shares, s, strict=True)) / sum(shares))
        logits[labels[i]] -= scale * margin
        losses.append(cross_entropy(logits, labels[i]))
    spread = 0.0
    for centers in classes:
        for k in range(size):
            for m in range(k + 1, size):
                spread += math.sqrt(2 - 2 * cosine(centers[k], centers[m]) + 1e-5)
    if size > 1:
        spread /= len(classes) * size * (size - 1)
    return mean(losses) + regularizer * spread
