"""NMI and its relatives against scikit-learn and brute force; k-means and its seeding."""

import warnings
from itertools import combinations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from sklearn.cluster import KMeans

from retrieval.errors import UserError
from retrieval.evaluation import engine, evaluate
from retrieval.evaluation import kmeans as seeding
from retrieval.evaluation.clustering import (
    clustering_metrics,
    default_starts,
    expected_mutual_information,
    kmeans,
    kmeans_starts,
    nmi_interval,
)
from retrieval.evaluation.kmeans import Passes, lloyd, passes_here, scale_of, total_rows
from retrieval.evaluation.kmeans_shards import passes_in_parts
from retrieval.evaluation.protocol import sides
from retrieval.evaluation.search.distances import normalize
from retrieval.evaluation.search.search import search
from retrieval.evaluation.search.shard_files import ShardedSearch, Workers, run_here
from retrieval.evaluation.search.threads import worker_pool

PARTITIONS = st.integers(1, 60).flatmap(
    lambda n: st.tuples(*[st.lists(st.integers(0, 12), min_size=n, max_size=n)] * 2)
)


@pytest.fixture(scope="module")
def pool():
    with worker_pool(2) as opened:
        yield opened


def blobs(sizes, d=16, noise=1.0, seed=0, copies=1):
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(len(sizes)), sizes)
    x = rng.standard_normal((len(sizes), d))[codes]
    x = x + noise * rng.standard_normal((len(codes), d))
    x, codes = np.repeat(x, copies, axis=0), np.repeat(codes, copies)
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), codes


def graph(x, codes, pool, width=seeding.NEIGHBORS):
    return search(x, codes, sides(len(x), None), "euclidean", width, pool=pool).ids


@settings(max_examples=150, deadline=None, derandomize=True)
@given(PARTITIONS)
def test_equals_scikit_learn_and_pair_counting(parts):
    a, b = (np.unique(p, return_inverse=True)[1] for p in parts)
    found = clustering_metrics(a, b)
    assert found["nmi"] == pytest.approx(sk.normalized_mutual_info_score(a, b), abs=1e-9)
    geometric = sk.normalized_mutual_info_score(a, b, average_method="geometric")
    assert found["nmi_geometric"] == pytest.approx(geometric, abs=1e-9)
    assert found["ari"] == pytest.approx(sk.adjusted_rand_score(a, b), abs=1e-9)
    expected = sk.adjusted_mutual_info_score(a, b)
    assert found["ami"] == pytest.approx(expected, abs=1e-6)
    pairs = list(combinations(range(len(a)), 2))
    both = sum(a[i] == a[j] and b[i] == b[j] for i, j in pairs)
    single = sum(a[i] == a[j] for i, j in pairs) + sum(b[i] == b[j] for i, j in pairs)
    assert found["pairwise_f1"] == pytest.approx(2 * both / single if single else 1)


def test_expected_mutual_information_is_the_mean_over_permutations():
    a, b = np.repeat([0, 1, 2], [4, 5, 6]), np.repeat([0, 1], [9, 6])
    rng = np.random.default_rng(0)
    draws = [sk.mutual_info_score(a, rng.permutation(b)) for _ in range(1000)]
    found = expected_mutual_information(np.array([4.0, 5, 6]), np.array([9.0, 6]))
    assert found == pytest.approx(np.mean(draws), rel=0.08)


@pytest.mark.parametrize(("n", "k"), [(700, 90), (1300, 20), (600, 600)])
@pytest.mark.parametrize("start", ["random", "poor"])
def test_lloyd_reaches_what_scikit_learn_reaches_from_the_same_start(pool, n, k, start):
    x, _ = blobs(np.full(n // 10, 10), noise=1.5)
    rows = np.random.default_rng(1).choice(n, k, replace=False) if start == "random" else range(k)
    seeds = x[rows]
    clusters, inertia, iterations = lloyd(x, seeds, passes_here(x, pool))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = KMeans(k, init=seeds, n_init=1, tol=0, max_iter=300, algorithm="lloyd").fit(x)
    assert inertia == pytest.approx(other.inertia_, rel=1e-3, abs=1e-3)
    assert iterations < 300
    # it is a fixed point: every point is with the nearest mean
    means = np.stack([x[clusters == c].mean(0) for c in range(k)])
    apart = ((x[:, None] - means) ** 2).sum(2)
    np.testing.assert_allclose(apart[np.arange(n), clusters], apart.min(1), atol=1e-5)
    assert inertia == pytest.approx(apart.min(1).sum(), rel=1e-4, abs=1e-3)


def test_every_iteration_gives_the_nearest_centers_and_a_bound_on_all_others(pool):
    """Also where points are moved to empty clusters: their bound was on other centers."""
    by_bound = 0
    for world in range(80):
        rng = np.random.default_rng(world)
        sizes = np.full(rng.integers(5, 80), rng.integers(2, 40))
        noise, d = rng.choice([0.1, 0.3, 0.7, 1.5, 5]), int(rng.choice([2, 4, 16]))
        x, _ = blobs(sizes, noise=noise, d=d, seed=world)
        k = rng.integers(2, max(3, len(x) // 4))
        seeds = x[rng.choice(rng.choice(len(x), rng.integers(1, k + 1)), k)]  # with copies
        here, rows, counts = passes_here(x, pool), np.arange(len(x)), []

        def assign(centers, moves, state, x=x, here=here, rows=rows, counts=counts):
            here.assign(centers, moves, state)
            scores = x.astype(np.float64) @ centers[:, :-1].T + centers[:, -1]
            np.testing.assert_allclose(state.best, scores[rows, state.winner], atol=1e-5)
            np.testing.assert_allclose(state.best, scores.max(1), atol=1e-5)
            scores[rows, state.winner] = -np.inf
            assert (scores.max(1) <= state.second + 1e-5).all()
            if moves is not None:
                counts.append((len(moves.moved), len(moves.far)))

        lloyd(x, seeds, Passes(assign, here.total))
        by_bound += any(far < moved for moved, far in counts)
    assert by_bound > 40


def test_empty_clusters_are_filled(pool):
    x, _ = blobs(np.full(40, 10))
    seeds = np.concatenate([x[:1]] * 30 + [x[:10]]).astype(np.float32)
    clusters, _, _ = lloyd(x, seeds, passes_here(x, pool))
    assert len(np.unique(clusters)) == 40


def test_more_clusters_than_distinct_points(pool):
    x, codes = blobs(np.full(20, 1), copies=5)
    for method in ("greedy k-means++", "random"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = kmeans(x, 60, method, pool=pool)
        assert found.inertia == pytest.approx(0, abs=1e-4)
        assert clustering_metrics(codes, found.clusters)["pairwise_f1"] == 1
    known = seeding.make_graph(x, graph(x, codes, pool), 60, pool)
    seeds = seeding.graph_seeds(x, known, 60, 0, pool)
    assert len(np.unique(seeds)) == 60
    assert len(np.unique(x[seeds], axis=0)) == 20


CASES = {
    "small classes": (np.full(300, 5), {"noise": 1.0}),
    "overlapping": (np.full(300, 5), {"noise": 2.0}),
    "clear": (np.full(300, 5), {"noise": 0.3}),
    "20 each": (np.full(75, 20), {"noise": 1.0}),
    "one huge class": (np.r_[700, np.full(160, 5)], {"noise": 0.4}),
    "every point five times": (np.full(60, 4), {"copies": 5}),
    "clusters of four neighborhoods": (np.full(60, 256), {"noise": 1.0}),
    "clusters of all sizes": (3 + 900 // np.arange(1, 90), {"noise": 1.0}),
}


@pytest.mark.slow
@pytest.mark.parametrize("is_nearest", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_seeding_on_the_graph_is_as_good_as_exact_seeding(pool, name, is_nearest):
    """Mean NMI and inertia over seeds: not worse than exact greedy k-means++ beyond noise."""
    sizes, options = CASES[name]
    x, codes = blobs(sizes, **options)
    k = codes.max() + 1
    near = graph(x, codes, pool, seeding.LISTED)
    ids = seeding.make_graph(x, near, k, pool, is_nearest=is_nearest)
    nmi, inertia = {}, {}
    for method in ("graph", "exact", "random"):
        runs = []
        for seed in range(10):
            if method == "graph":
                start = x[seeding.graph_seeds(x, ids, k, seed, pool)]
                clusters, total, _ = lloyd(x, start, passes_here(x, pool))
            else:
                kind = "random" if method == "random" else "greedy k-means++"
                found = kmeans(x, k, kind, seed, pool=pool)
                clusters, total = found.clusters, found.inertia
            runs.append((clustering_metrics(codes, clusters)["nmi"], total))
        nmi[method], inertia[method] = np.mean(runs, axis=0)
    assert nmi["graph"] >= nmi["exact"] - 0.006
    assert inertia["graph"] <= inertia["exact"] * 1.02
    assert inertia["graph"] <= inertia["random"] * 1.005


@pytest.mark.parametrize("width", [40, seeding.LISTED])
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", CASES)
def test_the_nearest_neighbors_decide_what_all_comparisons_would(pool, name, seed, width):
    """Bounds from neighbors leave out comparisons, but never the nearest center."""
    sizes, options = CASES[name]
    x, codes = blobs(sizes, **options)
    x -= x.mean(0)
    k, ids = codes.max() + 1, graph(x, codes, pool, width)
    known = seeding.make_graph(x, ids, k, pool, is_nearest=True)
    chosen = seeding.graph_seeds(x, known, k, seed, pool)
    plain = seeding.graph_seeds(x, seeding.make_graph(x, ids, k, pool), k, seed, pool)
    np.testing.assert_array_equal(chosen, plain)
    expected, inertia, iterations = lloyd(x, x[chosen], passes_here(x, pool))
    by_graph = seeding.passes_by_graph(x, known, chosen, pool)
    clusters, total, used = lloyd(x, x[chosen], by_graph)
    assert (total, used) == (pytest.approx(inertia, rel=1e-5, abs=1e-4), iterations)
    apart = clusters != expected  # only where two centers are equally near
    assert apart.mean() < (0.9 if options.get("copies") else 0.01)


def test_falls_back_to_exact_seeding_where_clusters_outgrow_a_neighborhood():
    assert not seeding.graph_suits(5924, 128, 100, 64)  # CUB: exact is cheap
    assert not seeding.graph_suits(100_000, 256, 200, 64)  # 500 a cluster, 64 neighbors
    assert seeding.graph_suits(100_000, 256, 2_000, 64)  # 50 a cluster
    assert seeding.graph_suits(100_000, 256, 700, 64)  # 143
    assert not seeding.graph_suits(100_000, 256, 700, 32)  # 143, and half of the neighbors
    assert not seeding.graph_suits(60_502, 128, 11_316, 4)  # too few neighbors saved
    assert seeding.graph_suits(60_502, 128, 11_316, 64)  # SOP
    assert seeding.graph_suits(26_830, 128, 3_985, 64)  # In-shop


@pytest.mark.parametrize("copies", [1, 40])
def test_seeding_is_exact_where_a_neighborhood_holds_copies_alone(monkeypatch, pool, copies):
    monkeypatch.setattr(seeding, "CHEAP", 0)
    x, codes = blobs(np.full(20, 80 // copies), copies=copies)
    ids = graph(x, codes, pool)
    assert seeding.make_graph(x, ids, 20, pool, is_nearest=True).tells_apart(20) == (copies == 1)
    calls = []
    original = seeding.graph_seeds
    monkeypatch.setattr(seeding, "graph_seeds", lambda *a: calls.append(1) or original(*a))
    kmeans(x, 20, ids=ids, is_nearest=True, pool=pool)
    assert bool(calls) == (copies == 1)


def test_graph_or_not_is_used_in_evaluate(monkeypatch):
    x, codes = blobs(np.full(200, 5))
    calls = []
    original = seeding.graph_seeds
    monkeypatch.setattr(seeding, "CHEAP", 0)
    monkeypatch.setattr(seeding, "graph_seeds", lambda *a: calls.append(1) or original(*a))
    options = {"n_bootstrap": 0, "n_init": 1}
    whole = evaluate(x, codes, **options)
    roles = np.where(np.arange(1000) % 2, "query", "gallery")
    parts = evaluate(x, codes, roles, **options)  # makes the graph of all items itself
    short = evaluate(x, codes, k_neighbors=5, **options)
    assert len(calls) == 3
    np.testing.assert_array_equal(whole.clusters, parts.clusters)
    np.testing.assert_array_equal(whole.clusters, short.clusters)
    reused = evaluate(x, codes, roles, reuse=whole, **options)
    assert len(calls) == 3
    assert reused.metrics["nmi"] == whole.metrics["nmi"]
    with pytest.raises(UserError, match=r"^reuse "):
        evaluate(x, codes, roles, reuse=whole, n_bootstrap=0, n_init=2)
    with pytest.raises(UserError, match=r"^reuse "):
        evaluate(x, codes, roles, reuse=whole, seed=1, **options)


def test_a_single_search_seeds_k_means_where_the_gallery_is_apart(monkeypatch):
    x, codes = blobs(np.full(200, 5), noise=0.8)
    monkeypatch.setattr(seeding, "CHEAP", 0)
    searches = []
    counting = {"search_with": lambda *a, **k: searches.append(1) or search(*a, **k)}
    roles = np.where(np.arange(1000) % 2, "query", "gallery")
    one = evaluate(x, codes, roles, k_neighbors=0, n_bootstrap=0, single_search=True, **counting)
    assert len(searches) == 1
    two = evaluate(x, codes, roles, k_neighbors=0, n_bootstrap=0, **counting)
    assert len(searches) == 3
    assert one.metrics["nmi"] == pytest.approx(two.metrics["nmi"], abs=0.01)
    others = one.metrics.keys() - {"nmi", "nmi_geometric", "ami", "ari", "pairwise_f1",
                                   "nmi_start_spread"}  # fmt: skip
    assert {name: one.metrics[name] for name in others} == {
        name: two.metrics[name] for name in others}  # fmt: skip


def test_gallery_items_have_the_queries_that_found_them_as_neighbors(pool):
    x, codes = blobs(np.full(20, 5))
    roles = np.where(np.arange(100) % 3, "query", "gallery")
    found = search(x, codes, sides(100, roles), "cosine", 8, pool=pool)
    ids = engine.neighbors_of_all(found, 100, 6)
    assert ids.shape == (100, 6)
    lists = dict(zip(found.queries.tolist(), found.ids[:, :6].tolist(), strict=True))
    for item in range(100):
        expected = lists.get(item)
        if expected is None:
            near = [(-(x[q] @ x[item]).item(), q) for q, own in lists.items() if item in own]
            expected = [q for _, q in sorted(near)][:6]
            expected += [-1] * (6 - len(expected))
        assert ids[item].tolist() == expected


def test_the_start_of_least_inertia_counts_and_the_spread_is_reported():
    x, codes = blobs(np.full(60, 5), noise=1.5)
    with worker_pool(1) as pool:
        found = kmeans_starts(normalize(x), 60, seed=3, starts=6, pool=pool)
        alone = kmeans(normalize(x), 60, seed=3, pool=pool)
    np.testing.assert_array_equal(found[0].clusters, alone.clusters)
    nmi = [clustering_metrics(codes, each.clusters)["nmi"] for each in found]
    assert len(set(nmi)) > 1
    result = evaluate(x, codes, seed=3, n_init=6, n_bootstrap=100)
    assert result.nmi_of_starts == pytest.approx(nmi)
    assert result.metrics["nmi"] == pytest.approx(nmi[np.argmin([c.inertia for c in found])])
    assert result.metrics["nmi_start_spread"] == pytest.approx(np.std(nmi, ddof=1))
    assert result.protocol.n_init == 6
    one = evaluate(x, codes, seed=3, n_init=1, n_bootstrap=100)
    assert one.metrics["nmi"] == pytest.approx(nmi[0])
    assert "nmi_start_spread" not in one.metrics


def test_the_spread_over_starts_widens_the_interval_of_nmi():
    x, codes = blobs(np.full(60, 5), noise=1.5)
    with worker_pool(1) as pool:
        clusters = kmeans(x, 60, pool=pool).clusters
    value = clustering_metrics(codes, clusters)["nmi"]
    fixed, wider = (nmi_interval(codes, clusters, 400, start_spread=s) for s in (0.0, 0.02))
    for plain, wide in zip(fixed, wider, strict=True):
        half = np.hypot(plain - value, 1.96 * 0.02)
        assert abs(wide - value) == pytest.approx(min(half, 1 - value if wide > value else value))


def test_fewer_starts_are_the_default_where_there_are_many_clusters():
    assert [default_starts(5_000, k) for k in (2, 100, 1_000, 1_001)] == [10, 10, 10, 3]
    assert [default_starts(n, 100) for n in (50_000, 50_001)] == [10, 3]
    x, codes = blobs(np.full(20, 5))
    assert evaluate(x, codes, n_bootstrap=0).protocol.n_init == 10


def test_seed_decides_and_threads_do_not(monkeypatch):
    x, codes = blobs(np.full(150, 6), noise=1.5)
    monkeypatch.setattr(seeding, "CHEAP", 0)
    for method in ("greedy k-means++", "random"):
        options = {"kmeans": method, "n_bootstrap": 0}
        a = evaluate(x, codes, threads=1, **options)
        b = evaluate(x, codes, threads=3, **options)
        c = evaluate(x, codes, seed=7, **options)
        np.testing.assert_array_equal(a.clusters, b.clusters)
        assert a.metrics["nmi"] != c.metrics["nmi"]
        assert (a.protocol.kmeans, c.protocol.seed) == (method, 7)


def test_nmi_interval_widens_with_fewer_classes_and_holds_the_value():
    x, codes = blobs(np.full(200, 5), noise=1.0)
    with worker_pool(1) as one:
        clusters = kmeans(x, 200, pool=one).clusters
    value = clustering_metrics(codes, clusters)["nmi"]
    low, high = nmi_interval(codes, clusters, 400)
    assert low < value < high
    few = codes < 25
    _, sub = np.unique(clusters[few], return_inverse=True)
    less, more = nmi_interval(codes[few], sub, 400)
    assert more - less > 1.5 * (high - low)


@pytest.mark.parametrize("classes", [2, 3, 4, 6])
@pytest.mark.parametrize("mistakes", [0, 1, 5])
def test_nmi_interval_of_few_classes_holds_the_value_within_0_and_1(classes, mistakes):
    codes = np.repeat(np.arange(classes), 10)
    clusters = codes.copy()
    clusters[:mistakes] = 1
    value = clustering_metrics(codes, clusters)["nmi"]
    low, high = nmi_interval(codes, clusters)
    assert 0 <= low <= value <= high
    assert high <= max(1, value)


@given(
    st.integers(1, 3), st.integers(2, 40), st.sampled_from(["random", "greedy k-means++"]),
    st.integers(0, 99),
)  # fmt: skip
@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_parts_of_the_points_give_the_clusters_of_one_machine(
    tmp_path, pool, at_once, k, how, seed
):
    # 10,000 points are three chunks; with duplicates there are empty clusters to fill.
    rng = np.random.default_rng(seed)
    x = (9 * rng.standard_normal((k, 3)))[rng.integers(0, k, 10_000)]
    x = (x + rng.standard_normal(x.shape)).astype(np.float32)
    x[5000:9000] = x[rng.integers(0, 30, 4000)]
    one = kmeans(x, k, how, seed, pool=pool)

    def passes(points):
        np.save(tmp_path / "points.npy", points)
        return passes_in_parts(tmp_path / "points.npy", len(points), Workers(at_once=at_once))

    other = kmeans(x, k, how, seed, pool=pool, passes_of=passes)
    np.testing.assert_array_equal(one.clusters, other.clusters)
    assert (one.inertia, one.iterations) == (other.inertia, other.iterations)
    assert [path.name for path in (tmp_path / "points-passes").iterdir()] == []


@pytest.mark.parametrize("is_nearest", [True, False])
def test_ties_are_decided_alike_wherever_the_points_are(tmp_path, pool, monkeypatch, is_nearest):
    """On a coarse grid many centers are equally near, and the order of comparisons decides."""
    monkeypatch.setattr(seeding, "CHEAP", 0)
    rng = np.random.default_rng(0)
    x = rng.integers(-1, 2, (1500, 8)).astype(np.float32)
    codes = np.arange(1500) % 150
    ids = graph(x, codes, pool)
    divided = ShardedSearch(tmp_path, 3)

    def passes(points):
        return passes_in_parts(divided.file_of(points), len(points), Workers(at_once=2))

    one, other = (
        kmeans(x, 150, seed=1, ids=ids, is_nearest=is_nearest, pool=pool, passes_of=passes_of)
        for passes_of in (None, passes)
    )
    np.testing.assert_array_equal(one.clusters, other.clusters)
    assert (one.inertia, one.iterations) == (other.inertia, other.iterations)


def test_no_pass_has_the_folder_of_another(tmp_path, pool):
    """A node that was given up may write late, when the next start makes its first passes."""
    x, _ = blobs(np.full(30, 5))
    written = []

    def run(function, calls):
        written.extend((call["folder"], call["begin"]) for call in calls)
        yield from run_here(function, calls)

    divided = ShardedSearch(tmp_path, 3, Workers(run, at_once=2))

    def passes(points):
        return passes_in_parts(divided.file_of(points), len(points), divided.workers)

    one, other = (
        kmeans_starts(x, 30, "random", starts=2, pool=pool, passes_of=each)
        for each in (None, passes)
    )
    assert [each.inertia for each in one] == [each.inertia for each in other]
    assert len(set(written)) == len(written)


def test_sums_of_clusters_are_exact_in_any_order():
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((1000, 2)) * 10.0 ** rng.integers(-6, 6, (1000, 1))).astype(np.float32)
    scale, slots = scale_of(x), np.array([1, -1, 0])
    winner = rng.integers(0, 3, 1000)
    sums = total_rows(x, winner, slots, scale)
    order = rng.permutation(1000)
    np.testing.assert_array_equal(sums, total_rows(x[order], winner[order], slots, scale))
    exact = np.array([x[winner == c].astype(np.float64).sum(axis=0) for c in (2, 0)])
    np.testing.assert_allclose(sums / scale, exact, rtol=1e-9, atol=1e-9)
