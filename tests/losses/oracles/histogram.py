from tests.losses.oracles.parts import MIXED, cosine, negatives_of, positives_of, soft_histogram

CASES = [
    ({"bins": 20}, MIXED),
]


def oracle(labels, x, bins=200):
    pos = [cosine(x[i], x[j]) for i in range(len(x)) for j in positives_of(labels, i) if j > i]
    neg = [cosine(x[i], x[j]) for i in range(len(x)) for j in negatives_of(labels, i) if j > i]
    if not pos or not neg:
        return 0.0
    h_pos = [h / len(pos) for h in soft_histogram(pos, -1, 1, bins)]
    h_neg = [h / len(neg) for h in soft_histogram(neg, -1, 1, bins)]
    return sum(h_neg[r] * sum(h_pos[: r + 1]) for r in range(bins + 1))
