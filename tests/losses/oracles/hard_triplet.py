from tests.losses.oracles import parts
from tests.losses.oracles.parts import MIXED, hinge, mean, negatives_of, positives_of

CASES = [
    ({}, MIXED),
    ({"margin": "soft", "distance": "squared_euclidean"}, MIXED),
    ({"margin": "none", "distance": "cityblock"}, MIXED),
    ({"margin": 0.3, "distance": "cosine"}, MIXED),
    ({"positives": "easiest"}, MIXED),
]


def oracle(labels, x, margin=1.0, distance="euclidean", positives="hardest"):
    losses = []
    for a in range(len(x)):
        near = [parts.distance(x[a], x[p], distance) for p in positives_of(labels, a)]
        far = [parts.distance(x[a], x[n], distance) for n in negatives_of(labels, a)]
        if near and far:
            chosen = max(near) if positives == "hardest" else min(near)
            losses.append(hinge(chosen - min(far), margin))
    return mean(losses)
