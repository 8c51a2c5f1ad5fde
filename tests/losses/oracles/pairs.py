"""Losses of single pairs, each weighted by how it compares with the others."""

import math

from tests.losses.oracles.parts import cosine, distance, mean, negatives_of, oracle, positives_of


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
