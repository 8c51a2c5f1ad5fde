from tests.losses.oracles.parts import distance


def oracle(labels, x, triplets, beta=1.2, margin=0.2, regularizer=0.0):
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
