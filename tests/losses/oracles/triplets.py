"""Triplets and the losses that set many negatives against one positive pair."""

import math

import numpy as np

from tests.losses.oracles.parts import (
    cosine,
    distance,
    hinge,
    mean,
    negatives_of,
    oracle,
    positives_of,
)


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


def mined(labels, x, miner, distance_, epsilon=0.1):
    """The triplets of a miner that draws none."""
    triplets = []
    for a in range(len(x)):
        pos, neg = positives_of(labels, a), negatives_of(labels, a)
        if not pos or not neg:
            continue
        far = {j: distance(x[a], x[j], distance_) for j in pos + neg}
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


@oracle
def mined_triplet(
    labels, x, margin=0.2, miner="easy_positive", distance_="squared_euclidean", triplets=None
):
    if triplets is None:
        triplets = mined(labels, x, miner, distance_)
    return mean(
        [
            hinge(distance(x[a], x[p], distance_) - distance(x[a], x[n], distance_), margin)
            for a, p, n in triplets
        ]
    )


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
def generalized_lifted(labels, x, margin=1.0):
    losses = []
    for a in range(len(x)):
        pull = sum(math.exp(distance(x[a], x[p])) for p in positives_of(labels, a))
        push = sum(math.exp(margin - distance(x[a], x[n])) for n in negatives_of(labels, a))
        if pull and push:
            losses.append(max(math.log(pull) + math.log(push), 0.0))
    return mean(losses)


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
