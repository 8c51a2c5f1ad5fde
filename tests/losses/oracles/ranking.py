"""Losses that smooth a figure of the whole ranking."""

from tests.losses.oracles.parts import cosine, mean, negatives_of, oracle, positives_of, sigmoid


def soft_histogram(values, low, high, bins):
    """Counts at bins + 1 nodes by the papers' triangular kernel."""
    step = (high - low) / bins
    nodes = [low + step * r for r in range(bins + 1)]
    return [sum(max(0.0, 1 - abs(v - node) / step) for v in values) for node in nodes]


@oracle
def fastap(labels, x, bins=10):
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


@oracle
def histogram(labels, x, bins=200):
    pos = [cosine(x[i], x[j]) for i in range(len(x)) for j in positives_of(labels, i) if j > i]
    neg = [cosine(x[i], x[j]) for i in range(len(x)) for j in negatives_of(labels, i) if j > i]
    if not pos or not neg:
        return 0.0
    h_pos = [h / len(pos) for h in soft_histogram(pos, -1, 1, bins)]
    h_neg = [h / len(neg) for h in soft_histogram(neg, -1, 1, bins)]
    return sum(h_neg[r] * sum(h_pos[: r + 1]) for r in range(bins + 1))


@oracle
def smooth_ap(labels, x, temperature=0.01):
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


@oracle
def recall_at_k(labels, x, ks=(1, 2, 4, 8, 16), rank_temperature=0.01, recall_temperature=1.0):
    losses = []
    for q in range(len(x)):
        pos = positives_of(labels, q)
        if not pos or not negatives_of(labels, q):
            continue
        s = [cosine(x[q], x[j]) for j in range(len(x))]
        for k in ks:
            found = 0.0
            for i in pos:
                others = [j for j in range(len(x)) if j not in (q, i)]
                rank = 1 + sum(sigmoid((s[j] - s[i]) / rank_temperature) for j in others)
                found += sigmoid((k - rank) / recall_temperature)
            losses.append(1 - min(found, k) / min(k, len(pos)))
    return mean(losses)
