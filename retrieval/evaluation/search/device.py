"""Tile products and the selection on a GPU (TensorFlow), with the guarantees of the CPU.

The device multiplies float32 tiles and compares their values with bounds: what is surely farther
than the ``k`` nearest so far is dropped, what is surely nearer than a positive is counted, and all
that the proven error of the product leaves open (:mod:`retrieval.evaluation.search.distances`; it
holds for any order of summation, without TensorFloat-32) is listed and decided by the CPU in double
precision. So neighbors and ranks are those of
:func:`retrieval.evaluation.search.search.search`, to the last digit.

TensorFlow is imported when a part is searched on a device, and at no other time.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from retrieval.errors import UserError
from retrieval.evaluation.search import distances, kernels, listed_kernels
from retrieval.evaluation.search.block import Block
from retrieval.evaluation.search.distances import Rows
from retrieval.evaluation.search.kernels import ExactRows
from retrieval.evaluation.search.plan import Search
from retrieval.evaluation.search.shards import Partial, begin_at, chunks_of, partial_of

GPU = "/GPU:0"
TILE = 1 << 24  # values of a tile
LEAST_TILE = 128  # columns


def first_gpu() -> str:
    """Return the device to search on.

    Raises:
        UserError: TensorFlow sees no GPU.
    """
    import tensorflow as tf

    if not tf.config.list_physical_devices("GPU"):
        raise UserError(
            "--device gpu: TensorFlow sees no GPU here: drop --device, or see `retrieval info`"
        )
    return GPU


def count_part_on(
    job: Search, group: Sequence[np.ndarray], part: range, device: str, tile: int = TILE
) -> Partial:
    """Compare a group of queries with one part of the gallery on a device.

    Args:
        job: The search.
        group: The queries, in blocks.
        part: The gallery positions to compare with.
        device: TensorFlow's name of the device, such as ``/GPU:0``.
        tile: Values of a tile. Defaults to 16 Mi.

    Returns:
        What :func:`retrieval.evaluation.search.shards.count_part` returns.
    """
    blocks = [Block(job, index) for index in group]
    with _on(device):
        scans = [_Scan(block, tile) for block in blocks]
        for scan in scans:
            begin_at(scan.block, part.start)
        for first, rows in chunks_of(job, part):
            for scan in scans:
                scan.take(first, rows)
    return partial_of(blocks)


@contextlib.contextmanager
def _on(device: str) -> Iterator[None]:
    """Compute on a device, products in full float32."""
    import tensorflow as tf

    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        with tf.device(device):
            yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


class _Scan:
    """A block of queries on the device."""

    def __init__(self, block: Block, tile: int):
        import tensorflow as tf

        self.block, self.kind = block, block.search.kind
        self.queries = tf.constant(block.queries.fast)
        self.columns = max(LEAST_TILE, tile // max(1, len(block.queries)))
        most = int(np.diff(block.positives.starts).max(initial=0))
        self.low = np.empty((len(block.queries), most), np.float32)
        self.high = np.empty_like(self.low)

    def take(self, first: int, rows: Rows) -> None:
        """Compare the queries with one chunk of the gallery."""
        block = self.block
        exact = ExactRows(self.kind, block.queries.exact, rows.exact, first)
        for begin in range(0, len(rows), self.columns):
            at = slice(begin, min(begin + self.columns, len(rows)))
            slack = distances.slack(block.queries, rows.size[at].max(), self.kind)
            values = _product(self.queries, rows.fast[at], self.kind)
            values = self._without_left_out(values, first + begin, at.stop - begin)
            if block.search.k:
                self._push(values, first + begin, exact, slack)
            self._count(values, first + begin, exact, slack)

    def _without_left_out(self, values: Any, begin: int, width: int) -> Any:
        """Set the values of the queries themselves, and of all that is left out, to -inf."""
        block = self.block
        own = np.flatnonzero((block.own >= begin) & (block.own < begin + width))
        pairs = [np.column_stack([own, block.own[own] - begin])]
        for pool, cursor, stop in block.excluded:
            pairs.append(
                np.column_stack(listed_kernels.listed_in(pool, cursor, stop, begin, width))
            )
        found = np.unique(np.concatenate(pairs), axis=0)
        if block.excluded:
            itself = found[:, 1] + begin == block.own[found[:, 0]]
            block.n_excluded += np.bincount(found[~itself, 0], minlength=len(block.own))
        return _removed(values, found)

    def _push(self, values: Any, begin: int, exact: ExactRows, slack: np.ndarray) -> None:
        """List what may be among the k nearest, and keep what is."""
        import tensorflow as tf

        block, k = self.block, self.block.search.k
        limit = np.maximum(block.candidates.floor + block.shift - slack, -3e38).astype(np.float32)
        if values.shape[1] >= k:  # at least k items of this tile reach its k-th value less slack
            reached = tf.math.top_k(values, k, sorted=True).values[:, -1].numpy()
            reached = (reached - 2 * slack).astype(np.float32)
            limit = np.maximum(limit, np.nextafter(reached, np.float32(-np.inf)))
        limit = np.maximum(limit, np.float32(-3e38))
        query, column = tf.where(values >= limit[:, None]).numpy().T
        listed_kernels.push_listed(query, column + begin, exact, k, block.candidates)
        kernels.resolve_all(exact, k, block.candidates)

    def _count(self, values: Any, begin: int, exact: ExactRows, slack: np.ndarray) -> None:
        """Count what is surely nearer than a positive, and decide what is not sure."""
        import tensorflow as tf

        positives, width = self.block.positives, values.shape[1]
        same = listed_kernels.listed_in(
            positives.pool, positives.cursor, positives.stop, begin, width
        )
        if not self.low.shape[1]:
            return
        values = _removed(values, np.column_stack(same))
        listed_kernels.bounds_of_positives(positives, self.block.shift, slack, self.low, self.high)
        # How many positives an item beats for sure, and how many it may reach.
        beaten = tf.searchsorted(tf.constant(self.high), values, side="left")
        reached = tf.searchsorted(tf.constant(self.low), values, side="right")
        sure = tf.equal(beaten, reached)
        most = self.low.shape[1] + 1
        segment = tf.where(
            sure & (beaten > 0), beaten + most * tf.range(values.shape[0])[:, None], -1
        )
        counts = tf.math.unsorted_segment_sum(
            tf.ones_like(segment), segment, most * values.shape[0]
        )
        counts = counts.numpy().reshape(-1, most).astype(np.int64)
        listed_kernels.count_beaten(counts, positives)
        query, column = tf.where(tf.logical_not(sure)).numpy().T
        listed_kernels.count_listed(query, column + begin, exact, positives)


def _product(queries: Any, rows: np.ndarray, kind: int) -> Any:
    """Return the fast similarities of queries and rows, float32 (m, n), on the device."""
    import tensorflow as tf

    gallery = tf.constant(rows)
    if kind != distances.CITYBLOCK:
        return tf.linalg.matmul(queries, gallery, transpose_b=True)
    total = tf.zeros((queries.shape[0], gallery.shape[0]))
    for t in range(rows.shape[1]):
        total -= tf.abs(queries[:, t, None] - gallery[None, :, t])
    return total


def _removed(values: Any, pairs: np.ndarray) -> Any:
    """Return a tile with -inf at some pairs of row and column, int64 (r, 2)."""
    import tensorflow as tf

    if not len(pairs):
        return values
    return tf.tensor_scatter_nd_update(values, pairs, np.full(len(pairs), -np.inf, np.float32))
