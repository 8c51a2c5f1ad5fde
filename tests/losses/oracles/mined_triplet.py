from tests.losses.oracles import parts
from tests.losses.oracles.parts import (
    BLOCKS,
    MIXED,
    cosine,
    hinge,
    mean,
    negatives_of,
    positives_of,
)

CASES = [
    ({}, MIXED),
    ({"margin": "soft", "distance": "cosine"}, MIXED),
    ({"miner": "batch_hard", "distance": "cityblock"}, MIXED),
    ({"miner": "semi_hard", "distance": "euclidean", "margin": 1.0}, MIXED),
    ({"miner": "semi_hard", "distance": "cosine", "margin": "none"}, BLOCKS),
    ({"miner": "multi_similarity"}, MIXED),
    ({"miner": "multi_similarity", "distance": "cosine"}, BLOCKS),
    ({"miner": "multi_similarity", "distance": "cityblock"}, MIXED),
]


def mined(labels, x, miner, distance, epsilon=0.1):
    """The triplets of a miner that draws none."""
    triplets = []
    for a in range(len(x)):
        pos, neg = positives_of(labels, a), negatives_of(labels, a)
        if not pos or not neg:
            continue
        far = {j: parts.distance(x[a], x[j], distance) for j in pos + neg}
        alike = {j: cosine(x[a], x[j]) for j in pos + neg}
        if miner == "batch_hard":
            triplets.append((a, max(pos, key=far.get), min(neg, key=far.get)))
        if miner == "easy_positive":
            triplets.append((a, min(pos, key=far.get), min(neg, key=far.get)))
        if miner == "semi_hard":
            for p in pos:
                beyond = [n for n in neg if far[n] > far[p]]
                n = min(beyond, key=far.get) if beyond else max(neg, key=far.get)
                triplets.append((a, p, n))
        if miner == "multi_similarity":
            least, most = min(pos, key=alike.get), max(neg, key=alike.get)
            triplets += [(a, p, most) for p in pos if alike[p] < alike[most] + epsilon]
            triplets += [(a, least, n) for n in neg if alike[n] > alike[least] - epsilon]
    return triplets


def oracle(
    labels, x, margin=0.2, miner="easy_positive", distance="squared_euclidean", triplets=None
):
    if triplets is None:
        triplets = mined(labels, x, miner, distance)
    return mean(
        [
            hinge(
                parts.distance(x[a], x[p], distance) - parts.distance(x[a], x[n], distance), margin
            )
            for a, p, n in triplets
        ]
    )
