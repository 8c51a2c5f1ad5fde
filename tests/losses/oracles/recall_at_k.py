from tests.losses.oracles.parts import (
    BLOCKS,
    CROWDED,
    MIXED,
    cosine,
    mean,
    negatives_of,
    positives_of,
    sigmoid,
)

CASES = [
    ({"rank_temperature": 0.1}, MIXED),
    ({"ks": [1, 3]}, BLOCKS),
    # Blurred ranks: more positives than k count as found, which the cut at k limits.
    ({"ks": [5, 6], "rank_temperature": 2.0, "recall_temperature": 0.3}, CROWDED),
]


def oracle(labels, x, ks=(1, 2, 4, 8, 16), rank_temperature=0.01, recall_temperature=1.0):
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
