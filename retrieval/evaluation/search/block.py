"""Some queries, while the gallery passes by tile by tile."""

import numpy as np

from retrieval.evaluation.metrics import score_ranks
from retrieval.evaluation.search import distances, kernels
from retrieval.evaluation.search.distances import Rows
from retrieval.evaluation.search.kernels import cityblock_tile
from retrieval.evaluation.search.plan import Ranking, Search, positives_of, take_any

TILE = 512  # gallery items of a tile: it stays in the second-level cache


class Block:
    """Some queries of neighboring classes while the gallery passes by."""

    def __init__(self, search: Search, index: np.ndarray):
        """Find the positives of the queries ``index`` (positions in ``search.sides.queries``)."""
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
        self.top = (
            np.empty((m, width)),
            np.empty((m, width), np.int64),
            np.empty((m, width)),
            np.zeros(m, np.int64),
            np.full(m, -np.inf),
            np.zeros(m),
        )
        begin, stop = search.class_begin[index], search.class_stop[index]
        self.starts, members = positives_of(search.pool, begin, stop, self.own)
        values = np.empty(len(members))
        search.fill_similarities(self.queries.exact, self.starts, members, values)
        kernels.sort_positives(self.starts, values, members)
        self.positives = (
            self.starts, values, members, np.zeros(len(members), np.int64),
            search.pool, begin.copy(), stop,
        )  # fmt: skip

    def scan(self, first: int, rows: Rows) -> None:
        """Take in one chunk of the gallery."""
        kind, k = self.search.kind, self.search.k
        exact = self.queries.exact
        buffer = np.empty(len(exact) * TILE, np.float32)
        for begin in range(0, len(rows), TILE):
            part = slice(begin, min(begin + TILE, len(rows)))
            width = part.stop - begin
            tile = buffer[: len(exact) * width].reshape(len(exact), width)
            if kind == distances.CITYBLOCK:
                cityblock_tile(exact, rows.exact[part], tile)
            else:
                np.matmul(self.queries.fast, rows.fast[part].T, out=tile)
            slack = distances.slack(self.queries, rows.size[part].max(), kind)
            common = kind, exact, rows.exact, first
            if k and not first and not begin:
                self.start_floor(tile, slack)
            if k:
                kernels.push_tile(
                    tile, first + begin, k, *common, self.own, self.shift, slack, self.top
                )
            kernels.count_tile(tile, first + begin, *common, self.shift, slack, self.positives)
        if k:
            kernels.resolve_all(k, kind, exact, rows.exact, first, self.top)

    def start_floor(self, tile: np.ndarray, slack: np.ndarray) -> None:
        """Take what ``k`` items of the first tile reach (self may be one more) as a first floor."""
        rank = tile.shape[1] - self.search.k - 1
        if rank >= 0:
            reached = np.partition(tile, rank, axis=1)[:, rank]
            self.top[4][:] = reached - self.shift - slack

    def write(self, out: Ranking) -> None:
        """Put this block's outcome into the arrays of the whole search."""
        search, at, k = self.search, self.index, self.search.k
        item_rows = search.sides.gallery
        _, ids, exact, count, _, _ = self.top
        if k:
            found = np.arange(k) < count[:, None]
            out.ids[at] = np.where(found, item_rows[np.where(found, ids[:, :k], 0)], -1)
            similarity = distances.reported(np.where(found, exact[:, :k], -np.inf), search.distance)
            out.similarities[at] = similarity
        starts, _, members, ahead, *_ = self.positives
        kernels.sum_ahead(starts, ahead)
        n_positive = np.diff(starts)
        out.n_positive[at] = n_positive
        some = n_positive > 0
        ranks = ahead + 1 + np.arange(len(ahead)) - np.repeat(starts[:-1], n_positive)
        out.first_hit[at[some]] = ranks[starts[:-1][some]]
        out.first_hit_item[at[some]] = item_rows[members[starts[:-1][some]]]
        for name, values in score_ranks(ranks, n_positive).items():
            out.scores[name][at] = values
