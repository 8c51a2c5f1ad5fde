import math

from tests.losses.oracles.parts import cosine, mean


def oracle(labels, x, proxies, margin=0.1, scale=32.0):
    pull, push = [], []
    for c, p in enumerate(proxies):
        own = [cosine(x[i], p) for i in range(len(x)) if labels[i] == c]
        rest = [cosine(x[i], p) for i in range(len(x)) if labels[i] != c]
        if own:
            pull.append(math.log(1 + sum(math.exp(-scale * (s - margin)) for s in own)))
        push.append(math.log(1 + sum(math.exp(scale * (s + margin)) for s in rest)))
    return mean(pull) + mean(push)
