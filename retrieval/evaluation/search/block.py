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
from retrieval.evaluation.search.plan import Ranking, Search, positives_of, take_any


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
        begin, stop = search.class_begin[index], search.class_stop[index]
        starts, members = positives_of(search.pool, begin, stop, self.own)
        values = np.empty(len(members))
        search.fill_similarities(self.queries.exact, starts, members, values)
        kernels.sort_positives(starts, values, members)
        self.positives = Positives(
            starts=starts,
            values=values,
            members=members,
            ahead=np.zeros(len(members), np.int64),
            pool=search.pool,
            cursor=begin.copy(),
            stop=stop,
        )

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
        some = n_positive > 0
        ranks = ahead + 1 + np.arange(len(ahead)) - np.repeat(starts[:-1], n_positive)
        out.first_relevant_rank[at[some]] = ranks[starts[:-1][some]]
        out.first_relevant_item[at[some]] = item_rows[members[starts[:-1][some]]]
        for name, values in score_ranks(ranks, n_positive).items():
            out.scores[name][at] = values
