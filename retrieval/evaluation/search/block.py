"""A block of queries, compared with the gallery tile by tile."""

import numpy as np

from retrieval.evaluation.metrics import score_ranks
from retrieval.evaluation.search import distances, kernels
from retrieval.evaluation.search.distances import Rows
from retrieval.evaluation.search.kernels import (
    Candidates,
    ExactRows,
    Positives,
    Tile,
    cityblock_tile,
)
from retrieval.evaluation.search.plan import Ranking, Search, take_any


class Block:
    """Some queries of neighboring classes, with the candidates and ranks found so far."""

    def __init__(self, search: Search, index: np.ndarray):
        """Prepare queries and their positives.

        Args:
            search: The search they belong to.
            index: int64, (m,), positions of the queries in ``search.sides.queries``.
        """
        self.search, self.index = search, index
        side, m, k = search.sides, len(index), search.k
        self.queries = distances.prepare(
            take_any(search.embeddings, side.queries[index]),
            search.kind,
            search.gallery.center,
            as_query=True,
        )
        self.own = side.own[index]
        self.shift = distances.shift_of(self.queries, search.kind)
        width = 2 * k + 64
        self.candidates = Candidates(
            lower=np.empty((m, width)),
            ids=np.empty((m, width), np.int64),
            exact=np.empty((m, width)),
            counts=np.zeros(m, np.int64),
            floor=np.full(m, -np.inf),
            worst=np.zeros(m),
        )
        self.excluded = [
            (lists.pool, lists.begin[index].copy(), lists.stop[index])
            for lists in search.judgments.excluded
        ]
        self.n_excluded = np.zeros(m, np.int64)
        starts, members = self.find_positives()
        values = np.empty(len(members))
        search.fill_similarities(self.queries.exact, starts, members, values)
        kernels.sort_positives(starts, values, members)
        self.positives = Positives(
            starts=starts,
            values=values,
            members=members,
            ahead=np.zeros(len(members), np.int64),
            pool=search.relevant.pool,
            cursor=search.relevant.begin[index].copy(),
            stop=search.relevant.stop[index],
        )

    def find_positives(self) -> tuple[np.ndarray, np.ndarray]:
        """List the gallery positions of each query's positives that are ranked.

        Returns:
            ``starts`` int64 (m + 1,) and the positions, int64, flat; those of query ``i`` are
            ``starts[i]:starts[i + 1]``. Neither the query itself nor what is excluded is there.
        """
        relevant, size = self.search.relevant, self.search.relevant.sizes[self.index]
        members = relevant.pool[relevant.entries(self.index)]
        starts = np.concatenate([[0], np.cumsum(size)])
        keep = members != np.repeat(self.own, size)
        others = kept = _counted(keep)[starts]
        for pool, begin, stop in self.excluded:
            kernels.drop_listed(starts, members, pool, begin, stop, keep)
        if self.excluded:
            kept = _counted(keep)[starts]
        self.n_excluded_positive = np.diff(others) - np.diff(kept)
        return kept, members[keep]

    def scan(self, first: int, rows: Rows) -> None:
        """Compare the queries with one chunk of the gallery.

        Args:
            first: Gallery position of the chunk's first row.
            rows: The chunk's rows.
        """
        kind, k, most = self.search.kind, self.search.k, self.search.sizes.tile
        exact = ExactRows(kind, self.queries.exact, rows.exact, first)
        m = len(self.queries)
        buffer = np.empty(m * most, np.float32)
        for begin in range(0, len(rows), most):
            part = slice(begin, min(begin + most, len(rows)))
            width = part.stop - begin
            values = buffer[: m * width].reshape(m, width)
            if kind == distances.CITYBLOCK:
                cityblock_tile(self.queries.exact, rows.exact[part], values)
            else:
                np.matmul(self.queries.fast, rows.fast[part].T, out=values)
            slack = distances.slack(self.queries, rows.size[part].max(), kind)
            tile = Tile(values, first + begin, self.shift, slack)
            if not self.search.judgments.plain:
                kernels.remove_items(tile, self.own)
                for pool, cursor, stop in self.excluded:
                    kernels.remove_listed(tile, pool, cursor, stop, self.n_excluded)
            if k:
                if tile.begin == 0:
                    self.start_floor(tile)
                kernels.push_tile(tile, exact, self.own, k, self.candidates)
            kernels.count_tile(tile, exact, self.positives)
        if k:
            kernels.resolve_all(exact, k, self.candidates)

    def start_floor(self, tile: Tile) -> None:
        """Set the first floor to a similarity that ``k`` items of the first tile surely reach."""
        rank = tile.values.shape[1] - self.search.k - 1
        if rank >= 0:
            reached = np.partition(tile.values, rank, axis=1)[:, rank]
            self.candidates.floor[:] = reached - tile.shift - tile.slack

    def write(self, out: Ranking) -> None:
        """Write this block's results into the arrays of the whole search."""
        search, at, k = self.search, self.index, self.search.k
        item_rows = search.sides.gallery
        if k:
            found = np.arange(k) < self.candidates.counts[:, None]
            ids = np.where(found, self.candidates.ids[:, :k], 0)
            out.ids[at] = np.where(found, item_rows[ids], -1)
            exact = np.where(found, self.candidates.exact[:, :k], -np.inf)
            out.similarities[at] = distances.reported(exact, search.distance)
        starts, members, ahead = self.positives.starts, self.positives.members, self.positives.ahead
        kernels.sum_ahead(starts, ahead)
        n_positive = np.diff(starts)
        out.n_positive[at] = n_positive
        out.n_excluded[at] = self.n_excluded
        out.n_excluded_positive[at] = self.n_excluded_positive
        some = n_positive > 0
        ranks = ahead + 1 + np.arange(len(ahead)) - np.repeat(starts[:-1], n_positive)
        out.first_relevant_rank[at[some]] = ranks[starts[:-1][some]]
        out.first_relevant_item[at[some]] = item_rows[members[starts[:-1][some]]]
        grades, further = self.grades_of(starts, members), search.judgments.metrics
        for name, values in score_ranks(ranks, n_positive, grades, further).items():
            out.scores[name][at] = values

    def grades_of(self, starts: np.ndarray, members: np.ndarray) -> np.ndarray | None:
        """Return the grade of each positive, nearest first, float64; None if all grades are 1."""
        grades, relevant = self.search.judgments.grades, self.search.relevant
        if grades is None:
            return None
        entries, rows = relevant.entries(self.index), np.arange(len(self.index))
        n = len(self.search.sides.gallery)
        listed = np.repeat(rows, relevant.sizes[self.index]) * n + relevant.pool[entries]
        ranked = np.repeat(rows, np.diff(starts)) * n + members
        return np.asarray(grades[entries[np.searchsorted(listed, ranked)]])


def _counted(keep: np.ndarray) -> np.ndarray:
    """Return how many of the first 0, 1, 2, ... flags are set, int64 (len + 1,)."""
    return np.concatenate([[0], np.cumsum(keep)])
