from tests.losses.oracles.parts import (
    BLOCKS,
    MIXED,
    cosine,
    mean,
    negatives_of,
    positives_of,
    sigmoid,
)

CASES = [
    ({"temperature": 0.1}, MIXED),
    ({}, BLOCKS),
]


def oracle(labels, x, temperature=0.01):
    losses = []
    for q in range(len(x)):
        pos = positives_of(labels, q)
        if not pos or not negatives_of(labels, q):
            continue
        s = [cosine(x[q], x[j]) for j in range(len(x))]
        score = 0.0
        for i in pos:
            above = {j: sigmoid((s[j] - s[i]) / temperature) for j in range(len(x)) if j != q}
            among = 1 + sum(above[j] for j in pos if j != i)
            score += among / (1 + sum(v for j, v in above.items() if j != i))
        losses.append(1 - score / len(pos))
    return mean(losses)
