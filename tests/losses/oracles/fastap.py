from tests.losses.oracles.parts import (
    BLOCKS,
    MIXED,
    cosine,
    mean,
    negatives_of,
    positives_of,
    soft_histogram,
)

CASES = [
    ({}, MIXED),
    ({"bins": 3}, BLOCKS),
]


def oracle(labels, x, bins=10):
    losses = []
    for q in range(len(x)):
        pos = [2 - 2 * cosine(x[q], x[j]) for j in positives_of(labels, q)]
        neg = [2 - 2 * cosine(x[q], x[j]) for j in negatives_of(labels, q)]
        if not pos or not neg:
            continue
        h_pos, h_neg = soft_histogram(pos, 0, 4, bins), soft_histogram(neg, 0, 4, bins)
        score = 0.0
        for j in range(bins + 1):
            up_to = sum(h_pos[: j + 1]) + sum(h_neg[: j + 1])
            if up_to > 0:
                score += sum(h_pos[: j + 1]) * h_pos[j] / up_to
        losses.append(1 - score / len(pos))
    return mean(losses)
