"""How a number was made: the protocol that every result carries, and who queries whom."""

from dataclasses import asdict, dataclass

import numpy as np

from retrieval.errors import UserError, unknown_option

ROLES = ("query", "gallery", "both")
NO_POSITIVE = ("exclude", "zero")


@dataclass(frozen=True)
class Protocol:
    """Everything that two numbers must share to be comparable.

    Attributes:
        name: ``leave_one_out`` or ``query_gallery``.
        rule: The same in words.
        distance: ``cosine``, ``euclidean``, ``squared_euclidean`` or ``cityblock``.
        normalized: Whether rows were L2-normalized before comparison (true for cosine).
        no_positive: What a query without any possible hit does: ``exclude`` (left out of every
            mean) or ``zero`` (scores 0).
        ties: How equal similarities are ordered.
        kmeans: Start of the k-means behind NMI and its relatives; ``none`` if not clustered.
        seed: Seed of k-means and of the bootstrap.
        interval: How the 95% intervals were made.
        n_items: Items that are a query, a gallery item or both.
        n_queries: Queries, including those without a possible hit.
        n_gallery: Gallery items.
        n_classes: Classes among the items.
        n_without_positive: Queries that have no possible hit.
        dimension: Width of the embedding.
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

    def to_dict(self) -> dict:
        """Return the fields as a plain dict, ready for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        lone = {"exclude": "excluded", "zero": "scored 0"}[self.no_positive]
        kmeans = "" if self.kmeans == "none" else f"; k-means: {self.kmeans}, seed {self.seed}"
        return (
            f"{self.rule}, {self.distance} distance, {self.n_queries:,} queries, "
            f"{self.n_gallery:,} gallery items, {self.n_classes:,} classes, {self.dimension}-d; "
            f"{self.n_without_positive:,} queries without a possible hit {lone}{kmeans}"
        )


@dataclass(frozen=True)
class Sides:
    """Rows of the items that query and of those that are searched, both ascending.

    Attributes:
        name: Protocol name.
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


def sides(n: int, roles: np.ndarray | None) -> Sides:
    """Split items into queries and gallery.

    Args:
        n: Number of items.
        roles: (n,) of ``query``, ``gallery`` or ``both``; None means leave-one-out.

    Returns:
        Who queries whom. A query that is in the gallery too is excluded from its own list by its
        index, never by dropping the nearest item: duplicates exist.

    Raises:
        UserError: Wrong length, an unknown role, or a side without items.
    """
    rows = np.arange(n)
    if roles is None:
        return Sides("leave_one_out", "leave-one-out", rows, rows, rows)
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
    return Sides("query_gallery", "query -> gallery", queries, gallery, own[queries])


def check_no_positive(value: str) -> None:
    """Refuse an unknown ``no_positive`` rule.

    Raises:
        UserError: The value is neither ``exclude`` nor ``zero``.
    """
    if value not in NO_POSITIVE:
        raise unknown_option("no_positive rule", value, NO_POSITIVE)
