"""Losses that compare with one or more learned vectors per class."""

import math

import numpy as np

from tests.losses.oracles.parts import cosine, distance, mean, oracle


def cross_entropy(logits, own):
    return math.log(sum(math.exp(v) for v in logits)) - logits[own]


@oracle
def normalized_softmax(labels, x, proxies, temperature=0.05):
    return mean(
        [
            cross_entropy([cosine(x[i], w) / temperature for w in proxies], labels[i])
            for i in range(len(x))
        ]
    )


@oracle
def cosface(labels, x, proxies, margin=0.35, scale=64.0):
    losses = []
    for i in range(len(x)):
        cosines = [cosine(x[i], w) for w in proxies]
        cosines[labels[i]] -= margin
        losses.append(cross_entropy([scale * c for c in cosines], labels[i]))
    return mean(losses)


@oracle
def arcface(labels, x, proxies, margin=0.5, scale=64.0):
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


@oracle
def proxy_nca(labels, x, proxies, temperature=1 / 9, own_in_denominator=True):
    losses = []
    for i in range(len(x)):
        unit = x[i] / np.linalg.norm(x[i])
        closeness = [
            math.exp(-(distance(unit, p / np.linalg.norm(p)) ** 2) / temperature) for p in proxies
        ]
        own = closeness[labels[i]]
        total = sum(closeness) - (0 if own_in_denominator else own)
        losses.append(-math.log(own / total))
    return mean(losses)


@oracle
def proxy_anchor(labels, x, proxies, margin=0.1, scale=32.0):
    pull, push = [], []
    for c, p in enumerate(proxies):
        own = [cosine(x[i], p) for i in range(len(x)) if labels[i] == c]
        rest = [cosine(x[i], p) for i in range(len(x)) if labels[i] != c]
        if own:
            pull.append(math.log(1 + sum(math.exp(-scale * (s - margin)) for s in own)))
        push.append(math.log(1 + sum(math.exp(scale * (s + margin)) for s in rest)))
    return mean(pull) + mean(push)


@oracle
def soft_triple(
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
