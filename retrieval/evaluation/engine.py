"""Evaluate embeddings and labels: metrics, intervals and the protocol they were made under."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from retrieval.errors import UserError
from retrieval.evaluation import clustering
from retrieval.evaluation.bootstrap import (
    LEVEL_SAMPLES,
    ClassScores,
    interval_method,
    level_intervals,
)
from retrieval.evaluation.checks import check_shapes, class_codes
from retrieval.evaluation.geometry import HUB_K, geometry
from retrieval.evaluation.metrics import bounds_of, check_on_request
from retrieval.evaluation.protocol import Protocol, Sides, sides
from retrieval.evaluation.ranking import check_ks, recall_at
from retrieval.evaluation.relevance import Rules, relevant_among, rules_of
from retrieval.evaluation.results import Result
from retrieval.evaluation.search.distances import normalize
from retrieval.evaluation.search.plan import Ranking
from retrieval.evaluation.search.search import search
from retrieval.evaluation.search.threads import worker_pool
from retrieval.evaluation.statistics import effective_classes, too_few_classes
from retrieval.progress import QUIET, progress_bar, stage
from retrieval.validation import (
    DEFAULT_DISTANCE,
    DEFAULT_KMEANS_START,
    DEFAULT_KS,
    DEFAULT_NO_POSITIVE,
    Distance,
    KMeansStart,
    NoPositive,
    check_choice,
    check_integer,
    check_seed,
    choices_of,
)

SearchFunction = Callable[..., Ranking]  # called as `search`


@dataclass(frozen=True)
class Options:
    """The checked options of :func:`evaluate`, which explains them."""

    ks: tuple[int, ...]
    distance: str
    k_neighbors: int
    no_positive: str
    kmeans: str
    n_init: int
    seed: int
    n_bootstrap: int


@dataclass(frozen=True)
class Clusters:
    """The clusters of k-means, and how much they depend on its start.

    Attributes:
        best: int32, (n,), cluster of each item, from the start of the least inertia.
        nmi: NMI of every start.
    """

    best: np.ndarray
    nmi: tuple[float, ...]

    @property
    def nmi_spread(self) -> float:
        """Standard deviation of NMI over the starts; NaN of a single one."""
        return float(np.std(self.nmi, ddof=1)) if len(self.nmi) > 1 else np.nan


def evaluate(
    embeddings: np.ndarray,
    labels: np.ndarray,
    roles: np.ndarray | None = None,
    ks: Sequence[int] = DEFAULT_KS,
    distance: str = DEFAULT_DISTANCE,
    *,
    k_neighbors: int = 64,
    no_positive: str = DEFAULT_NO_POSITIVE,
    kmeans: str = DEFAULT_KMEANS_START,
    n_init: int | None = None,
    seed: int = 0,
    n_bootstrap: int = LEVEL_SAMPLES,
    reuse: Result | None = None,
    single_search: bool = False,
    threads: int | None = None,
    progress: bool = False,
    exclude_same: object = None,
    junk_same: object = None,
    ignore: object = None,
    relevance: object = None,
    metrics: Sequence[str] = (),
    search_with: SearchFunction = search,
    passes_of: clustering.PassesOf | None = None,
) -> Result:
    """Evaluate embeddings exactly: ranking and clustering metrics, neighbors, geometry.

    Args:
        embeddings: float, (n, d); compared as float32. A memory map is read in chunks, so that a
            gallery of millions needs little memory (with ``kmeans="none"``).
        labels: (n,), class of each item, integers or strings.
        roles: (n,), ``query``, ``gallery`` or ``both`` for each item. Defaults to None,
            leave-one-out: every item is a query and searches all others.
        ks: Values of K for Recall@K; they may exceed the size of the gallery. Defaults to
            (1, 2, 4, 8, 16).
        distance: ``cosine``, ``euclidean``, ``squared_euclidean`` or ``cityblock``. Defaults to
            ``cosine``.
        k_neighbors: Number of neighbors returned per query; fewer where the gallery is smaller.
            Defaults to 64.
        no_positive: How queries without positives are scored: ``exclude`` excludes them from all
            means, as pytorch-metric-learning does; ``zero`` scores them 0. Defaults to
            ``exclude``.
        kmeans: Initialization of the k-means behind NMI: ``greedy k-means++`` (scikit-learn's
            default), ``random`` (what faiss does) or ``none`` for no clustering metrics. All items
            are clustered, into as many clusters as there are classes, L2-normalized if the distance
            is cosine. Defaults to ``greedy k-means++``.
        n_init: Number of starts of k-means, of which the one of the least inertia counts. Defaults
            to None: 10 up to 1,000 classes and 50,000 items, and 3 beyond.
        seed: Seed of k-means, of the bootstrap and of the samples of the geometry card. Defaults to
            0.
        n_bootstrap: Number of resamples for the 95% intervals; 0 computes none. Defaults to 1000.
        reuse: A result for the same items, labels, distance, k-means, starts and seed under another
            protocol, whose clusters are used again. Defaults to None.
        single_search: Whether k-means is seeded from what this search finds also where the gallery
            is apart, rather than from a second search of all items by all. NMI is as good, but not
            the very value of leave-one-out. Defaults to False.
        threads: Number of worker threads. Defaults to one per available core.
        progress: Whether to show the stage at work when it takes long. Defaults to False.
        exclude_same: Columns, name -> (n,) values or a DataFrame. A gallery item that shares the
            query's values of all of them is left out of its ranking, whatever its class. Defaults
            to None.
        junk_same: Columns. A gallery item *of the query's class* that shares its values of all of
            them is left out, as those of the same camera in Market-1501. Defaults to None.
        ignore: Item rows that are left out for each query, see
            :func:`retrieval.evaluation.relevance.row_lists`. Defaults to None.
        relevance: Item rows that are relevant to each query, with grades if there are any, in place
            of the items of its class. Labels then serve intervals and clusters. Defaults to None.
        metrics: Names of metrics to compute besides the usual ones: ``map@K``, ``ndcg@K`` and
            others that :data:`retrieval.evaluation.metrics.METRICS` computes on request.
        search_with: What searches, such as a
            :class:`retrieval.evaluation.search.shard_files.ShardedSearch`, whose result is the
            same. Defaults to :func:`retrieval.evaluation.search.search.search`.
        passes_of: Who goes through the points of k-means, see
            :func:`retrieval.evaluation.clustering.kmeans`. Defaults to this process.

    Returns:
        The result.

    Raises:
        UserError: Shapes do not fit, a value is not finite, a label is missing, an option or
            role is unknown, or a column or list does not fit the items.
    """
    embeddings, labels = check_shapes(embeddings, labels)
    codes = class_codes(labels)
    if n_init is None:
        n_init = clustering.default_starts(len(codes), int(codes.max()) + 1)
    options = Options(
        ks=check_ks(ks),
        distance=check_choice("distance", distance, choices_of(Distance)),
        k_neighbors=check_integer("k_neighbors", k_neighbors, least=0),
        no_positive=check_choice("no_positive", no_positive, choices_of(NoPositive)),
        kmeans=check_choice("kmeans", kmeans, choices_of(KMeansStart)),
        n_init=check_integer("n_init", n_init, least=1),
        seed=check_seed("seed", seed),
        n_bootstrap=check_integer("n_bootstrap", n_bootstrap, least=0),
    )
    parts = sides(len(labels), roles)
    rules = rules_of(
        codes,
        parts,
        exclude_same=exclude_same,
        junk_same=junk_same,
        ignore=ignore,
        relevance=relevance,
        metrics=check_on_request(metrics),
    )
    with worker_pool(threads) as pool:
        # The geometry card and k-means need some neighbors, however few are asked for: a second
        # search for them would cost as much as the first.
        k = max(options.k_neighbors, HUB_K)
        if options.kmeans != "none" and reuse is None:
            k = max(k, clustering.graph_neighbors(codes, embeddings.shape[1], options.kmeans))
        title = f"searching {len(parts.gallery):,} items for {len(parts.queries):,} queries"
        n = len(parts.queries)
        with progress_bar(title, n, show=progress, unit="query", quiet=QUIET) as advance:
            ranking = search_with(
                embeddings,
                codes,
                parts,
                options.distance,
                k,
                pool=pool,
                judgments=rules.judgments,
                advance=advance,
            )
        clusters: Clusters | None = None
        if options.kmeans != "none":
            clusters = find_clusters(
                embeddings,
                codes,
                ranking,
                options,
                reuse,
                pool,
                single_search=single_search,
                progress=progress,
                search_with=search_with,
                passes_of=passes_of,
            )
        with stage("geometry of the embedding", show=progress):
            card = geometry(
                embeddings, codes, ranking, len(parts.gallery), seed=options.seed, pool=pool
            )
    kept = slice(options.k_neighbors)
    ranking = replace(ranking, ids=ranking.ids[:, kept], similarities=ranking.similarities[:, kept])
    with stage("confidence intervals", show=progress):
        return make_result(
            labels, codes, parts, rules, ranking, clusters, card, embeddings.shape[1], options
        )


def make_result(
    labels: np.ndarray,
    codes: np.ndarray,
    parts: Sides,
    rules: Rules,
    ranking: Ranking,
    clusters: Clusters | None,
    card: dict[str, float],
    dimension: int,
    options: Options,
) -> Result:
    """Average the per-query scores, score the clusters, and state the protocol."""
    per_query, counted = score_queries(ranking, options.ks, options.no_positive)
    metrics: dict[str, float] = {}
    intervals: dict[str, tuple[float, float]] = {}
    found = ranking.first_relevant_rank[ranking.first_relevant_rank > 0]
    if len(found):  # figures that do not exist are absent, not NaN or 0
        metrics, intervals = summarize(per_query, counted, codes[parts.queries], options)
        metrics["median_first_hit"] = float(np.median(found))
    # Of as many clusters as items, each holds one item: the clusters are the classes, always.
    if clusters is not None and codes.max() + 1 < len(codes):
        metrics |= clustering.clustering_metrics(codes, clusters.best)
        spread = clusters.nmi_spread
        if np.isfinite(spread):
            metrics["nmi_start_spread"] = spread
        enough = not too_few_classes(effective_classes(np.bincount(codes)))
        if options.n_bootstrap and enough:
            intervals["nmi"] = clustering.nmi_interval(
                codes,
                clusters.best,
                options.n_bootstrap,
                options.seed,
                start_spread=spread if np.isfinite(spread) else 0.0,
            )
    return Result(
        protocol=describe(parts, rules, ranking, codes, dimension, options),
        metrics=metrics,
        intervals=intervals,
        geometry=card,
        queries=ranking.queries,
        labels=labels[parts.queries],
        counted=counted,
        neighbors=ranking.ids,
        similarities=ranking.similarities,
        first_relevant_rank=ranking.first_relevant_rank,
        first_relevant_item=ranking.first_relevant_item,
        n_positive=ranking.n_positive,
        n_excluded=ranking.n_excluded,
        per_query=per_query,
        clusters=None if clusters is None else clusters.best,
        nmi_of_starts=clusters.nmi if clusters else (),
        relevant=(
            None
            if rules.judgments.relevant is None
            else relevant_among(ranking.ids, rules.judgments.relevant, parts, len(labels))
        ),
    )


def find_clusters(
    embeddings: np.ndarray,
    codes: np.ndarray,
    ranking: Ranking,
    options: Options,
    reuse: Result | None,
    pool: ThreadPoolExecutor,
    *,
    single_search: bool = False,
    progress: bool = False,
    search_with: SearchFunction = search,
    passes_of: clustering.PassesOf | None = None,
) -> Clusters:
    """Cluster all items from every start, using the neighbors of the search where they cover all.

    Raises:
        UserError: The result to reuse is for other items or options, or has no clusters.
    """
    n = len(codes)
    if reuse is not None:
        known = reuse.protocol
        same = (known.n_items, known.distance, known.kmeans, known.n_init, known.seed)
        wanted = (n, options.distance, options.kmeans, options.n_init, options.seed)
        if same != wanted or reuse.clusters is None:
            raise UserError("reuse is a result for other items, distance, k-means, starts or seed")
        return Clusters(reuse.clusters, reuse.nmi_of_starts)
    points = normalize(embeddings) if options.distance == "cosine" else np.asarray(embeddings)
    k, ids, is_nearest = int(codes.max()) + 1, None, False
    if width := clustering.graph_neighbors(codes, points.shape[1], options.kmeans):
        ids = neighbors_of_all(ranking, n, width)
        whole = not ranking.n_excluded.any()  # else nearer items may be missing
        complete = whole and len(ranking.queries) == n and (ids >= 0).all()
        is_nearest = bool(complete) and options.distance != "cityblock"  # by Euclidean distance
        if not (complete or single_search):
            is_nearest = True
            with stage(f"neighbors of {n:,} items for k-means", show=progress):
                of_all = sides(n, None)
                ids = search_with(points, codes, of_all, "euclidean", width, pool=pool).ids
    found = clustering.kmeans_starts(
        points,
        k,
        options.kmeans,
        options.seed,
        starts=options.n_init,
        ids=ids,
        is_nearest=is_nearest,
        pool=pool,
        progress=progress,
        passes_of=passes_of,
    )
    nmi = [clustering.clustering_metrics(codes, each.clusters)["nmi"] for each in found]
    return Clusters(min(found, key=lambda each: each.inertia).clusters, tuple(nmi))


def neighbors_of_all(ranking: Ranking, n: int, width: int) -> np.ndarray:
    """Return neighbors of every item, from a search in which not every item was a query.

    An item that was no query, as in a gallery, gets the queries that have found it, nearest first:
    k-means is seeded on these edges, and takes no harm from missing ones.

    Args:
        ranking: What the search has found.
        n: Number of items.
        width: Number of neighbors per item, at most; where every item was a query, all that were
            found.

    Returns:
        int32, (n, m), rows of the items; -1 pads.
    """
    if len(ranking.queries) == n:
        found = ranking.ids[:, : n - 1]  # where items are few, the rest is padding
        ids = np.empty_like(found)
        ids[ranking.queries] = found
        return ids
    ids = np.full((n, width), -1, np.int32)
    found = ranking.ids[:, :width]
    ids[ranking.queries, : found.shape[1]] = found
    query, at = np.nonzero(found >= 0)
    target = found[query, at]
    asked = np.zeros(n, bool)
    asked[ranking.queries] = True
    query, at, target = (part[~asked[target]] for part in (query, at, target))
    order = np.lexsort((-ranking.similarities[query, at], target))
    query, target = query[order], target[order]
    place = np.arange(len(target)) - np.searchsorted(target, target)
    near = place < width
    ids[target[near], place[near]] = ranking.queries[query[near]]
    return ids


def score_queries(
    ranking: Ranking, ks: Sequence[int], no_positive: str
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return each per-query metric, float64 (q,), and whether each query counts, bool (q,)."""
    per_query = {f"recall@{k}": recall_at(ranking.first_relevant_rank, k) for k in ks}
    per_query |= ranking.scores
    without = ranking.n_positive == 0
    score = np.nan if no_positive == "exclude" else 0.0
    per_query = {name: np.where(without, score, values) for name, values in per_query.items()}
    return per_query, ~without if no_positive == "exclude" else np.ones(len(without), bool)


def summarize(
    per_query: dict[str, np.ndarray],
    counted: np.ndarray,
    classes: np.ndarray,
    options: Options,
) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """Average per-query metrics over the queries that count, with intervals over classes."""
    table = np.stack([values[counted] for values in per_query.values()], axis=1)
    means = dict(zip(per_query, table.mean(axis=0).tolist(), strict=True))
    if not options.n_bootstrap:
        return means, {}
    scores = ClassScores.of_metrics(table, classes[counted])
    bounds = np.array([bounds_of(name) for name in per_query]).T
    low, high = level_intervals(scores, (bounds[0], bounds[1]), options.n_bootstrap, options.seed)
    pairs = zip(per_query, low.tolist(), high.tolist(), strict=True)
    # An interval that does not exist, because the classes are too few, is absent.
    return means, {name: (a, b) for name, a, b in pairs if np.isfinite(a + b)}


def describe(
    parts: Sides,
    rules: Rules,
    ranking: Ranking,
    codes: np.ndarray,
    dimension: int,
    options: Options,
) -> Protocol:
    """State the protocol of the result."""
    return Protocol(
        name=parts.name,
        rule=parts.rule,
        distance=options.distance,
        normalized=options.distance == "cosine",
        no_positive=options.no_positive,
        ties="by index",
        kmeans=options.kmeans,
        n_init=options.n_init if options.kmeans != "none" else 1,
        seed=options.seed,
        interval=interval_method(options.n_bootstrap),
        n_items=len(codes),
        n_queries=len(parts.queries),
        n_gallery=len(parts.gallery),
        n_classes=int(codes.max()) + 1,
        n_without_positive=int((ranking.n_positive == 0).sum()),
        dimension=dimension,
        n_gallery_classes=len(np.unique(codes[parts.gallery])),
        exclusion=rules.exclusion,
        n_excluded=int(ranking.n_excluded.sum()),
        n_excluded_positive=int(ranking.n_excluded_positive.sum()),
        n_lost_positives=int(((ranking.n_positive == 0) & (ranking.n_excluded_positive > 0)).sum()),
        relevance=rules.relevance,
    )
