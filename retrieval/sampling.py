"""Draw P x K training batches as item indices; this module needs no images and no TensorFlow."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from retrieval.errors import UserError
from retrieval.validation import check_integer


class PKSampler:
    """Sampler of batches of P classes with K images each (Hermans et al. 2017, section 2).

    One stream of batches serves every loss: the K rows of a class are consecutive, so that N-pairs
    and angular losses (K = 2) find anchors and positives in alternate rows, and the contrastive
    loss forms its pairs inside blocks of two classes (K = 4). Elsewhere this is called
    class-balanced sampling with m = K images per class: every class is drawn equally often, however
    many images it has.

    Guarantees:

    * **Classes** are drawn in shuffled epochs: each class exactly once per epoch and never twice in
      a batch.
    * **Images** of a class with n >= K images never repeat in a batch, and each is drawn at least
      once in any pass of ceil(n / K) visits to the class. Every pass is shuffled anew, and its last
      visit is filled up from its own beginning. With n < K, every image is drawn floor(K / n) or
      ceil(K / n) times.
    * The batch at a step depends on nothing but the arguments and the step number, so that a run
      resumes exactly from the number of steps taken.
    * The work per drawn image does not grow with the data set: a class is shuffled once per pass.

    Attributes:
        classes: Label of each class number, sorted, (C,).
        classes_per_batch: Number of classes P in a batch.
        samples_per_class: Number of images K per class.
        seed: Seed of all shuffling.
    """

    def __init__(
        self,
        labels: Sequence[int] | np.ndarray,
        classes_per_batch: int,
        samples_per_class: int,
        seed: int = 0,
        super_labels: Sequence[int] | np.ndarray | None = None,
    ) -> None:
        """Sort the items by class.

        Args:
            labels: Class of each item, (n,), integers or strings.
            classes_per_batch: Number of classes P in a batch.
            samples_per_class: Number of images K per class.
            seed: Seed of all shuffling, at least 0. Defaults to 0.
            super_labels: Super-class of each item, (n,). If given, each batch is filled from one
                super-class where possible, for harder negatives: a super-class is cut into whole
                batches of its own, and only the classes left over (fewer than P of each
                super-class) share batches. A class belongs to the super-class of its first item.
                Defaults to None: classes are drawn regardless of their super-class.

        Raises:
            UserError: There are no items, fewer classes than P, or lengths differ; or P, K or the
                seed is invalid.
        """
        labels = np.asarray(labels)
        self.classes, first, item_class, self._sizes = np.unique(
            labels, return_index=True, return_inverse=True, return_counts=True
        )
        if labels.ndim != 1 or not labels.size:
            raise UserError(f"labels of shape {labels.shape}: give one label per item, (n,)")
        self.classes_per_batch = check_integer("classes_per_batch", classes_per_batch, least=1)
        self.samples_per_class = check_integer("samples_per_class", samples_per_class, least=1)
        self.seed = check_integer("seed", seed, least=0)
        if self.classes_per_batch > len(self.classes):
            raise UserError(
                f"classes_per_batch = {self.classes_per_batch}, but there are only "
                f"{len(self.classes)} classes: give at most {len(self.classes)}"
            )
        # Items of class c: _items[_starts[c] : _starts[c] + _sizes[c]], shuffled for pass _pass[c].
        self._by_class = np.argsort(item_class, kind="stable").astype(np.int64)
        self._items = self._by_class.copy()
        self._starts = np.cumsum(self._sizes) - self._sizes
        self._visits_per_pass = -(-self._sizes // samples_per_class)
        self._pass = np.full(len(self.classes), -1)
        self._epochs: dict[int, np.ndarray] = {}
        self._last_order: tuple[int, np.ndarray] | None = None
        self._super = None
        if super_labels is not None:
            if len(super_labels) != len(labels):
                raise UserError(f"{len(super_labels)} super_labels for {len(labels)} labels")
            self._super = np.unique(np.asarray(super_labels)[first], return_inverse=True)[1]

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield the batches of steps 0, 1, 2, ... without end."""
        step = 0
        while True:
            yield self.batch(step)
            step += 1

    def batch(self, step: int) -> np.ndarray:
        """Return the item indices of one batch.

        Args:
            step: Number of the batch, starting from 0.

        Returns:
            int64, (P * K,): K consecutive items of each of P different classes.
        """
        count = len(self.classes)
        start = step * self.classes_per_batch
        epoch, offset = divmod(start, count)
        rows = self._epoch(epoch)[offset : offset + self.classes_per_batch]
        missing = self.classes_per_batch - len(rows)
        if missing:
            rows = np.concatenate([rows, self._epoch(epoch + 1)[:missing]])
        return rows.ravel()

    def _epoch(self, epoch: int) -> np.ndarray:
        """Return the items drawn in one epoch over the classes, (C, K); cache two epochs."""
        if epoch not in self._epochs:
            if len(self._epochs) > 1:
                del self._epochs[next(iter(self._epochs))]
            self._epochs[epoch] = self._draw(self._class_order(epoch), epoch)
        return self._epochs[epoch]

    def _draw(self, classes: np.ndarray, visit: int) -> np.ndarray:
        """Return K items of each class, (C, K), for the given visit (starting from 0)."""
        wanted, turn = np.divmod(visit, self._visits_per_pass)
        stale = np.flatnonzero(self._pass != wanted)
        if stale.size:
            self._shuffle(stale, wanted[stale])
        place = turn[classes, None] * self.samples_per_class + np.arange(self.samples_per_class)
        return self._items[self._starts[classes, None] + place % self._sizes[classes, None]]

    def _shuffle(self, classes: np.ndarray, passes: np.ndarray) -> None:
        """Shuffle the items of some classes as the given pass over them requires."""
        sizes = self._sizes[classes]
        ends = np.cumsum(sizes)
        where = np.arange(ends[-1]) + np.repeat(self._starts[classes] - (ends - sizes), sizes)
        items = self._by_class[where]
        # Sorting by a hash of (seed, pass, item) is a shuffle that can be repeated at any time. The
        # class is put into the leading bits, so that one sort shuffles all classes.
        salt = _hash(_hash(np.uint64(self.seed)) + passes.astype(np.uint64))
        keys = _hash(np.repeat(salt, sizes) + items.astype(np.uint64))
        bits = len(classes).bit_length()
        leading = np.repeat(np.arange(len(classes), dtype=np.uint64) << np.uint64(64 - bits), sizes)
        order = np.argsort(leading | (keys >> np.uint64(bits)), kind="stable")
        self._items[where] = items[order]
        self._pass[classes] = passes

    def _class_order(self, epoch: int) -> np.ndarray:
        """Return the classes (C,) in the order of an epoch.

        An epoch may begin inside a batch. The classes that complete this batch must differ from
        those that began it, which takes a reordering of the first P classes of the epoch. With
        C >= 2 P - 1 classes the end of the epoch stays as it is, so that only the epoch before
        matters. With fewer classes, every epoch matters since the last one that began with a new
        batch: at most P of them.
        """
        count, width = len(self.classes), self.classes_per_batch
        cycle = width // math.gcd(count, width)
        first = max(epoch - 1, 0) if count >= 2 * width - 1 else epoch - epoch % cycle
        if self._last_order is not None and first <= self._last_order[0] <= epoch:
            first, order = self._last_order
        else:
            order = self._shuffled_classes(first)
        for number in range(first + 1, epoch + 1):
            begun = order[count - number * count % width :]
            order = self._shuffled_classes(number)
            busy = np.isin(order[:width], begun)
            order[:width] = np.concatenate([order[:width][~busy], order[:width][busy]])
        self._last_order = epoch, order
        return order

    def _shuffled_classes(self, epoch: int) -> np.ndarray:
        """Return the classes (C,) in a random order, one super-class after another if given."""
        rng = np.random.default_rng([self.seed, epoch])
        order = rng.permutation(len(self.classes))
        if self._super is None:
            return order
        width = self.classes_per_batch
        completing = -(epoch * len(order)) % width
        groups = rng.permutation(self._super.max() + 1)[self._super[order]]
        order = order[np.argsort(groups, kind="stable")]
        batches: list[np.ndarray] = []
        left_over: list[np.ndarray] = []
        for members in np.split(order, np.cumsum(np.bincount(groups))[:-1]):
            whole = len(members) // width
            batches += list(members[: whole * width].reshape(whole, width))
            left_over.append(members[whole * width :])
        batches = [batches[i] for i in rng.permutation(len(batches))]
        if sum(map(len, left_over)) < completing:
            left_over.append(batches.pop())
        rest = np.concatenate(left_over)
        return np.concatenate([rest[:completing], *batches, rest[completing:]])


def _hash(values: np.ndarray | np.uint64) -> np.ndarray:
    """Mix uint64 values so that each output bit depends on all input bits (SplitMix64)."""
    mixed: np.ndarray = np.atleast_1d(values) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
