"""The evaluation protocol that every result carries, and the queries and gallery it defines."""

from dataclasses import asdict, dataclass

import numpy as np

from retrieval.errors import UserError, counted
from retrieval.evaluation.ranking import BEYOND
from retrieval.validation import LEAVE_ONE_OUT, PROTOCOLS, QUERY_GALLERY, Role, choices_of

ROLES = choices_of(Role)
SCORES, ORDER = "scores", "order"  # what ranked lists have in place of a distance


@dataclass(frozen=True)
class Protocol:
    """Everything that two results must share for their metrics to be comparable.

    Attributes:
        name: ``leave_one_out`` or ``query_gallery``; with what is left out in a run that has the
            same protocol without it, see :func:`retrieval.validation.protocol_with`.
        rule: The protocol in words: ``leave-one-out`` or ``query -> gallery``.
        distance: ``cosine``, ``euclidean``, ``squared_euclidean`` or ``cityblock``; of ranked lists
            that were imported, ``scores`` or, if they have none, ``order``.
        normalized: Whether embeddings were L2-normalized first (true for cosine).
        no_positive: How queries without positives are scored: ``exclude`` (excluded from every
            mean) or ``zero`` (score 0).
        ties: How equal similarities are ordered.
        kmeans: Initialization of the k-means behind NMI and the other clustering metrics; ``none``
            if items were not clustered.
        seed: Seed of k-means and of the bootstrap.
        interval: How the 95% intervals were computed.
        n_items: Number of items; each is a query, a gallery item or both.
        n_queries: Number of queries, including those without positives.
        n_gallery: Number of gallery items.
        n_classes: Number of classes among the items.
        n_without_positive: Number of queries without positives: no other relevant item is in the
            gallery, or all that are were left out.
        dimension: Dimension of the embeddings; 0 of ranked lists, which have none.
        n_gallery_classes: Number of classes in the gallery; 0 if it was not recorded, as in version
            0.1.0.
        n_init: Number of starts of k-means, of which the one of the least inertia counts; 1 for a
            run of version 0.1.0.
        exclusion: What is left out of the ranking of a query besides itself, in words, such as
            ``same class and camera``; lists are named by a digest. Defaults to empty, nothing.
        n_excluded: Number of pairs of a query and a gallery item that is left out for it. Defaults
            to 0.
        n_excluded_positive: How many of those pairs are of a relevant item. Defaults to 0.
        n_lost_positives: Number of queries without positives because all were left out; the other
            queries without positives have none in the gallery (open set). Defaults to 0.
        relevance: ``class``, if the items of a query's class are relevant to it, else the kind and
            the digest of the lists that say which are. Defaults to ``class``.
        unit: What intervals resample: ``class``, or ``query`` where queries have no class and each
            is one of its own. Defaults to ``class``.
        unlisted: What ranked lists say of the relevant items that they lack: ``unknown`` where
            they lie, or ``never`` found, as trec_eval counts. Defaults to empty: the whole gallery
            is ranked.
        least_depth: Length of the shortest ranked list. Defaults to 0, no lists.
        greatest_depth: Length of the longest one. Defaults to 0.
        n_without_list: Number of queries without a list, which have found nothing. Defaults to 0.
        unknown: The figures that the lists are too short for, each with the values that it lies
            between. Defaults to empty, none.
    """

    name: str
    rule: str
    distance: str
    normalized: bool
    no_positive: str
    ties: str
    kmeans: str
    seed: int
    interval: str
    n_items: int
    n_queries: int
    n_gallery: int
    n_classes: int
    n_without_positive: int
    dimension: int
    n_gallery_classes: int = 0
    n_init: int = 1
    exclusion: str = ""
    n_excluded: int = 0
    n_excluded_positive: int = 0
    n_lost_positives: int = 0
    relevance: str = "class"
    unit: str = "class"
    unlisted: str = ""
    least_depth: int = 0
    greatest_depth: int = 0
    n_without_list: int = 0
    unknown: str = ""

    def to_dict(self) -> dict[str, str | int | bool]:
        """Return the fields as a dict, ready for JSON."""
        return asdict(self)

    @property
    def has_no_positives(self) -> bool:
        """Whether no query has a positive, so that there is nothing to find."""
        return self.n_without_positive == self.n_queries

    @property
    def queries(self) -> str:
        """How many queries there are, and of how many classes if they have any, in words."""
        return queries_in_words(self.n_queries, self.n_classes, self.unit)

    @property
    def without_positives(self) -> str:
        """How many queries have no positive, and how they are scored, in words."""
        treatment = {"exclude": "excluded", "zero": "scored 0"}[self.no_positive]
        queries = counted(self.n_without_positive, "query", "queries")
        return f"{queries} without positives {treatment}"

    @property
    def of_lists(self) -> bool:
        """Whether ranked lists were evaluated, and not embeddings."""
        return bool(self.unlisted)

    @property
    def measure(self) -> str:
        """What neighbors are ordered by, in words."""
        return "ranked lists" if self.of_lists else f"{self.distance} distance"

    @property
    def deepest(self) -> int:
        """The greatest K for which the rank of every first relevant item tells Recall@K."""
        return self.least_depth if self.unlisted == "unknown" else BEYOND

    @property
    def lists(self) -> str:
        """How long the ranked lists are, and what they lack, in words; empty for embeddings."""
        if not self.of_lists:
            return ""
        least, greatest = self.least_depth, self.greatest_depth
        size = f"{greatest:,}" if least == greatest else f"{least:,} to {greatest:,}"
        parts = [f"lists of {size} {'item' if greatest == 1 else 'items'}"]
        if self.n_without_list:
            queries = counted(self.n_without_list, "query", "queries")
            parts.append(f"{queries} without a list, nothing found")
        if self.unlisted == "never":
            parts.append("relevant items that are not listed count as never found")
        parts.append(f"ties: {self.ties}")
        if self.unit != "class":
            parts.append(f"each {self.unit} a class of its own")
        return "; ".join(parts)

    @property
    def rules(self) -> str:
        """What is left out and what is relevant, in words; empty for the plain protocol."""
        parts = []
        if self.exclusion:
            positive = counted(self.n_excluded_positive, "relevant item")
            parts.append(
                f"left out: {self.exclusion} ({counted(self.n_excluded, 'pair')}, {positive})"
            )
        if self.relevance != "class":
            parts.append(f"relevant: {self.relevance}")
        return "; ".join(parts)

    def __str__(self) -> str:
        rules = f"; {self.rules}" if self.rules else ""
        starts = f", best of {self.n_init} starts" if self.n_init > 1 else ""
        kmeans = f"; k-means: {self.kmeans}{starts}, seed {self.seed}"
        kmeans = "" if self.kmeans == "none" else kmeans
        size = self.lists or f"{self.dimension}-d"
        classes = f"{counted(self.n_classes, 'class', 'classes')}, " * (self.unit == "class")
        return (
            f"{self.rule}, {self.measure}, "
            f"{counted(self.n_queries, 'query', 'queries')}, "
            f"{counted(self.n_gallery, 'gallery item')}, {classes}{size}; "
            f"{self.without_positives}{rules}{kmeans}"
        )


def queries_in_words(n_queries: int, n_classes: int, unit: str = "class") -> str:
    """Count queries and, if they have any, their classes.

    >>> queries_in_words(1_197, 40), queries_in_words(50, 50, "query")
    ('1,197 queries of 40 classes', '50 queries')

    Args:
        n_queries: Number of queries.
        n_classes: Number of classes.
        unit: See :attr:`Protocol.unit`. Defaults to ``class``.
    """
    queries = counted(n_queries, "query", "queries")
    return f"{queries} of {counted(n_classes, 'class', 'classes')}" if unit == "class" else queries


@dataclass(frozen=True)
class Sides:
    """The queries and the gallery of a protocol, as ascending rows of the items.

    Attributes:
        name: Name of the protocol, see :class:`Protocol`.
        rule: The protocol in words.
        queries: int64, (q,), item rows.
        gallery: int64, (g,), item rows.
        own: int64, (q,), position of each query in ``gallery``; -1 if it is not there.
    """

    name: str
    rule: str
    queries: np.ndarray
    gallery: np.ndarray
    own: np.ndarray


def roles_or_none(roles: np.ndarray) -> np.ndarray | None:
    """Return the roles of items, or None if they assign none, which means leave-one-out.

    Args:
        roles: (n,), ``query``, ``gallery`` or ``both`` for each item.

    Returns:
        ``roles``, as :func:`sides` takes them; None if all are ``both``.
    """
    return roles if (roles != "both").any() else None


def sides(n: int, roles: np.ndarray | None) -> Sides:
    """Split items into queries and gallery.

    A query that is also a gallery item is excluded from its own ranking by its index, never by
    dropping the nearest item: duplicates exist.

    Args:
        n: Number of items.
        roles: (n,), ``query``, ``gallery`` or ``both`` for each item. None is leave-one-out: every
            item is a query and searches all others.

    Returns:
        The queries and the gallery.

    Raises:
        UserError: There is not one role per item, a role is unknown, or there is no query or no
            gallery item.
    """
    rows = np.arange(n)
    if roles is None:
        return Sides(LEAVE_ONE_OUT, PROTOCOLS[LEAVE_ONE_OUT], rows, rows, rows)
    roles = np.asarray(roles)
    if roles.shape != (n,):
        raise UserError(f"roles has shape {roles.shape}: give one role per item, shape ({n},)")
    bad = ~np.isin(roles, ROLES)
    if bad.any():
        row = int(np.argmax(bad))
        raise UserError(f"roles: row {row} is {str(roles[row])!r}; valid: {', '.join(ROLES)}")
    queries, gallery = rows[roles != "gallery"], rows[roles != "query"]
    if not len(queries) or not len(gallery):
        raise UserError(
            f"roles: {len(queries)} queries and {len(gallery)} gallery items; both are needed"
        )
    own = np.full(n, -1)
    own[gallery] = np.arange(len(gallery))
    return Sides(QUERY_GALLERY, PROTOCOLS[QUERY_GALLERY], queries, gallery, own[queries])
