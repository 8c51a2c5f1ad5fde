"""The losses as explicit NumPy loops in float64, written from the papers' formulas.

``ORACLES[name](labels, x, **options)`` is the value for embeddings x (B, D). ``fixed`` is the point
at which quantities without gradient (weights of the circle and ranked list losses) are taken.
"""

import math

import numpy as np

ORACLES = {}


def oracle(function):
    ORACLES[function.__name__] = function
    return function


def distance(a, b, kind="euclidean"):
    if kind == "euclidean":
        return math.sqrt(sum((p - q) ** 2 for p, q in zip(a, b, strict=True)))
    if kind == "squared_euclidean":
        return sum((p - q) ** 2 for p, q in zip(a, b, strict=True))
    if kind == "cityblock":
        return sum(abs(p - q) for p, q in zip(a, b, strict=True))
    return 1 - cosine(a, b)


def cosine(a, b):
    return float(np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b)))


def sigmoid(z):
    return 1 / (1 + math.exp(-z)) if z >= 0 else math.exp(z) / (1 + math.exp(z))


def positives_of(labels, i):
    return [j for j in range(len(labels)) if j != i and labels[j] == labels[i]]


def negatives_of(labels, i):
    return [j for j in range(len(labels)) if labels[j] != labels[i]]


def mean(values):
    return sum(values) / len(values) if values else 0.0


def hinge(gap, margin):
    if margin == "soft":
        return math.log(1 + math.exp(gap))
    return gap if margin == "none" else max(gap + margin, 0.0)


@oracle
def hard_triplet(labels, x, margin=1.0, distance_="euclidean", positives="hardest"):
    losses = []
    for a in range(len(x)):
        near = [distance(x[a], x[p], distance_) for p in positives_of(labels, a)]
        far = [distance(x[a], x[n], distance_) for n in negatives_of(labels, a)]
        if near and far:
            chosen = max(near) if positives == "hardest" else min(near)
            losses.append(hinge(chosen - min(far), margin))
    return mean(losses)


@oracle
def semi_hard_triplet(labels, x, margin=0.2):
    losses = []
    for a in range(len(x)):
        squares = [distance(x[a], x[n]) ** 2 for n in negatives_of(labels, a)]
        for p in positives_of(labels, a):
            positive = distance(x[a], x[p]) ** 2
            beyond = [s for s in squares if s > positive]
            if squares:
                losses.append(hinge(positive - (min(beyond) if beyond else max(squares)), margin))
    return mean(losses)


@oracle
def lifted_loss(labels, x, margin=1.0):
    terms = []
    for i in range(len(x)):
        for j in positives_of(labels, i):
            if j > i and negatives_of(labels, i):
                total = sum(
                    math.exp(margin - distance(x[i], x[k])) for k in negatives_of(labels, i)
                )
                total += sum(
                    math.exp(margin - distance(x[j], x[k])) for k in negatives_of(labels, j)
                )
                terms.append(max(0.0, math.log(total) + distance(x[i], x[j])) ** 2)
    return mean(terms) / 2


@oracle
def npairs_loss(labels, x, regularizer=0.002):
    pairs = len(x) // 2
    a, p = x[0 : 2 * pairs : 2], x[1 : 2 * pairs : 2]
    losses = []
    for i in range(pairs):
        same = [labels[2 * j + 1] == labels[2 * i] for j in range(pairs)]
        if any(same) and not all(same):
            logits = [float(a[i] @ p[j]) for j in range(pairs)]
            norm = math.log(sum(math.exp(v) for v in logits))
            losses.append(mean([norm - v for v, s in zip(logits, same, strict=True) if s]))
    squares = np.mean(np.sum(a**2, axis=1)) + np.mean(np.sum(p**2, axis=1))
    return mean(losses) + 0.25 * regularizer * squares if losses else 0.0


@oracle
def angular_loss(labels, x, degree=45.0, form="softmax"):
    tan2 = math.tan(math.radians(degree)) ** 2
    pairs = len(x) // 2
    losses = []
    for i in range(pairs):
        a, p = x[2 * i], x[2 * i + 1]
        own = 2 * (1 + tan2) * float(a @ p)
        if form == "log_sum":
            others = [n for n in range(len(x)) if labels[n] != labels[2 * i]]
            if others and labels[2 * i] == labels[2 * i + 1]:
                total = sum(math.exp(4 * tan2 * float((a + p) @ x[n]) - own) for n in others)
                losses.append(math.log(1 + total))
            continue
        logits = [4 * tan2 * float((a + p) @ x[2 * j + 1]) for j in range(pairs)]
        logits[i] = own
        same = [labels[2 * j + 1] == labels[2 * i] for j in range(pairs)]
        if any(same) and not all(same):
            norm = math.log(sum(math.exp(v) for v in logits))
            losses.append(mean([norm - v for v, s in zip(logits, same, strict=True) if s]))
    return mean(losses)


@oracle
def contrastive_loss(labels, x, margin=1.0, pairs="blocks", power=2):
    def term(i, j):
        d = math.sqrt(distance(x[i], x[j]) ** 2 + 1e-5)
        return (d if labels[i] == labels[j] else max(margin - d, 0.0)) ** power

    if pairs != "blocks":
        every = [(i, j) for i in range(len(x)) for j in range(len(x)) if i != j]
        same = [term(i, j) for i, j in every if labels[i] == labels[j]]
        other = [term(i, j) for i, j in every if labels[i] != labels[j]]
        if pairs == "active":
            other = [value for value in other if value > 0]
        return 0.5 * (mean(same) + mean(other))
    order, whole = [], len(x) // 8 * 8
    for start in range(0, whole, 8):
        order += [start + k for k in (0, 1, 4, 3, 2, 5, 6, 7)]
    order += list(range(whole, len(x)))
    return mean([term(order[k], order[k + 1]) for k in range(0, len(order) - 1, 2)])


@oracle
def multi_similarity(labels, x, alpha=2.0, beta=50.0, threshold=0.5, epsilon=0.1):
    total = 0.0
    for i in range(len(x)):
        pos = [cosine(x[i], x[j]) for j in positives_of(labels, i)]
        neg = [cosine(x[i], x[j]) for j in negatives_of(labels, i)]
        if not pos or not neg:
            continue
        slack = 1e9 if epsilon is None else epsilon
        kept_pos = [s for s in pos if s < max(neg) + slack]
        kept_neg = [s for s in neg if s > min(pos) - slack]
        if kept_pos and kept_neg:
            pull = sum(math.exp(-alpha * (s - threshold)) for s in kept_pos)
            push = sum(math.exp(beta * (s - threshold)) for s in kept_neg)
            total += math.log(1 + pull) / alpha + math.log(1 + push) / beta
    return total / len(x)


@oracle
def circle(labels, x, margin=0.4, scale=80.0, fixed=None):
    fixed = x if fixed is None else fixed
    losses = []
    for i in range(len(x)):
        push = pull = 0.0
        for j in negatives_of(labels, i):
            weight = max(cosine(fixed[i], fixed[j]) + margin, 0.0)
            push += math.exp(scale * weight * (cosine(x[i], x[j]) - margin))
        for j in positives_of(labels, i):
            weight = max(1 + margin - cosine(fixed[i], fixed[j]), 0.0)
            pull += math.exp(-scale * weight * (cosine(x[i], x[j]) - 1 + margin))
        if push and pull:
            losses.append(math.log(1 + push * pull))
    return mean(losses)


@oracle
def supervised_contrastive(labels, x, temperature=0.1):
    losses = []
    for i in range(len(x)):
        norm = math.log(
            sum(math.exp(cosine(x[i], x[a]) / temperature) for a in range(len(x)) if a != i)
        )
        pos = positives_of(labels, i)
        if pos:
            losses.append(mean([norm - cosine(x[i], x[p]) / temperature for p in pos]))
    return mean(losses)


@oracle
def ntxent(labels, x, temperature=0.1):
    losses = []
    for i in range(len(x)):
        rest = sum(math.exp(cosine(x[i], x[n]) / temperature) for n in negatives_of(labels, i))
        for j in positives_of(labels, i):
            own = math.exp(cosine(x[i], x[j]) / temperature)
            if rest:
                losses.append(-math.log(own / (own + rest)))
    return mean(losses)


@oracle
def tuplet_margin(labels, x, scale=64.0, slack=5.73):
    losses = []
    for a in range(len(x)):
        for p in positives_of(labels, a):
            eased = math.cos(math.acos(cosine(x[a], x[p])) - math.radians(slack))
            total = sum(
                math.exp(scale * (cosine(x[a], x[n]) - eased)) for n in negatives_of(labels, a)
            )
            if total:
                losses.append(math.log(1 + total))
    return mean(losses)


@oracle
def generalized_lifted(labels, x, margin=1.0):
    losses = []
    for a in range(len(x)):
        pull = sum(math.exp(distance(x[a], x[p])) for p in positives_of(labels, a))
        push = sum(math.exp(margin - distance(x[a], x[n])) for n in negatives_of(labels, a))
        if pull and push:
            losses.append(max(math.log(pull) + math.log(push), 0.0))
    return mean(losses)


@oracle
def ranked_list(
    labels,
    x,
    alpha=1.2,
    margin=0.4,
    negative_temperature=10.0,
    positive_temperature=0.0,
    balance=0.5,
    fixed=None,
):
    fixed = x if fixed is None else fixed
    inner, total = alpha - margin, 0.0
    for i in range(len(x)):
        pull = [j for j in positives_of(labels, i) if distance(fixed[i], fixed[j]) > inner]
        push = [j for j in negatives_of(labels, i) if distance(fixed[i], fixed[j]) < alpha]
        sides = (
            (1 - balance, pull, positive_temperature, lambda d: d - inner),
            (balance, push, negative_temperature, lambda d: alpha - d),
        )
        for share, chosen, temperature, violation in sides:
            weights = [
                math.exp(temperature * violation(distance(fixed[i], fixed[j]))) for j in chosen
            ]
            for weight, j in zip(weights, chosen, strict=True):
                total += share * weight / sum(weights) * violation(distance(x[i], x[j]))
    return total / len(x)


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
    centres_per_class=10,
    regularizer=0.2,
):
    size = centres_per_class
    classes = [proxies[k : k + size] for k in range(0, len(proxies), size)]
    losses = []
    for i in range(len(x)):
        logits = []
        for centres in classes:
            s = [cosine(x[i], w) for w in centres]
            shares = [math.exp(v / gamma) for v in s]
            logits.append(scale * sum(w * v for w, v in zip(shares, s, strict=True)) / sum(shares))
        logits[labels[i]] -= scale * margin
        losses.append(cross_entropy(logits, labels[i]))
    spread = 0.0
    for centres in classes:
        for k in range(size):
            for m in range(k + 1, size):
                spread += math.sqrt(2 - 2 * cosine(centres[k], centres[m]) + 1e-5)
    if size > 1:
        spread /= len(classes) * size * (size - 1)
    return mean(losses) + regularizer * spread


@oracle
def margin_loss(labels, x, triplets, beta=1.2, margin=0.2, regularizer=0.0):
    total, active = 0.0, 0
    for a, p, n in triplets:
        own = beta[labels[a]] if isinstance(beta, list) else beta
        for value in (
            distance(x[a], x[p]) - own + margin,
            own - distance(x[a], x[n]) + margin,
        ):
            if value > 0:
                total, active = total + value, active + 1
        total += regularizer * own
    return total / max(active, 1)
