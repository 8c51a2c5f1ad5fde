from tests.losses.oracles.parts import cosine, cross_entropy, mean


def oracle(labels, x, proxies, temperature=0.05):
    return mean(
        [
            cross_entropy([cosine(x[i], w) / temperature for w in proxies], labels[i])
            for i in range(len(x))
        ]
    )
