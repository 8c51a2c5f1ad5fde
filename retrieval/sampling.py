"""P x K batches of row numbers; no images, no TensorFlow.

The batch of a step depends on the seed and the step alone, so a resumed run draws exactly what
the uninterrupted one would have drawn.
"""

import numpy as np

from retrieval.errors import UserError

CLASS_STREAM, ITEM_STREAM = 0, 1


class PKSampler:
    """Draws batches of P classes x K rows, the K rows of a class side by side.

    Classes come in shuffled epochs: each class once, then the last batch is filled up with classes
    drawn at random. The rows of a class come in shuffled epochs too; a class with fewer than K rows
    repeats them, no other does. The rows of all batches of a class epoch are made in a few array
    operations, which amounts to O(1) per row drawn whatever the size of the data set.

    The same batches serve N-pairs and angular losses (K = 2: rows alternate anchor, positive) and
    contrastive pairs (K = 4); "m per class" is K = m.

    Attributes:
        classes_per_batch: P.
        samples_per_class: K.
        batches_per_epoch: Batches until every class has been drawn.
    """

    def __init__(
        self,
        labels: np.ndarray,
        classes_per_batch: int,
        samples_per_class: int,
        seed: int = 0,
        super_labels: np.ndarray | None = None,
    ) -> None:
        """Index the rows by class.

        Args:
            labels: (n,) integer class of each row.
            classes_per_batch: P.
            samples_per_class: K.
            seed: Seeds every draw.
            super_labels: (n,) integer super-class of each row; if given, the classes of a batch
                come from one super-class as long as it has P left in this epoch.

        Raises:
            UserError: Fewer than P classes, or P or K below 1.
        """
        labels = np.asarray(labels)
        self._rows = np.argsort(labels, kind="stable")
        _, self._starts, self._counts = np.unique(
            labels[self._rows], return_index=True, return_counts=True
        )
        if min(classes_per_batch, samples_per_class) < 1:
            raise UserError(f"P x K = {classes_per_batch} x {samples_per_class}: give at least 1")
        if len(self._counts) < classes_per_batch:
            raise UserError(
                f"{classes_per_batch} classes per batch, but only {len(self._counts)} classes to "
                f"train on: give --classes-per-batch {len(self._counts)} or less"
            )
        self.classes_per_batch, self.samples_per_class = classes_per_batch, samples_per_class
        self.seed = seed
        self.batches_per_epoch = -(-len(self._counts) // classes_per_batch)
        # Visits after which all rows of a class have been drawn and it is shuffled anew.
        self._visits = np.maximum(1, self._counts // samples_per_class)
        self._class_of = np.repeat(np.arange(len(self._counts)), self._counts)
        self._super = None
        if super_labels is not None:
            self._super = np.asarray(super_labels)[self._rows[self._starts]]
        self._epoch, self._batches = -1, np.empty((0, 0), np.int64)

    def batch(self, step: int) -> np.ndarray:
        """Return the rows of one step's batch: int64, (P * K,).

        Args:
            step: Which batch, from 0; any order, though successive steps are fastest.
        """
        epoch, position = divmod(step, self.batches_per_epoch)
        if epoch != self._epoch:
            self._load(epoch)
        return self._batches[position]

    def _load(self, epoch: int) -> None:
        self._shuffle_rows(epoch)
        classes, extra = self._class_batches(epoch)
        k = self.samples_per_class
        # A class drawn a second time in an epoch gets the rows after those of the first time.
        visit = (epoch + extra) % self._visits[classes]
        position = visit[..., None] * k + np.arange(k)
        position %= self._counts[classes][..., None]
        rows = self._rows[self._starts[classes][..., None] + position]
        self._batches = rows.reshape(len(rows), -1)
        self._epoch = epoch

    def _shuffle_rows(self, epoch: int) -> None:
        due = epoch - epoch % self._visits
        fresh = [epoch] if epoch == self._epoch + 1 else np.unique(due).tolist()
        for moment in fresh:
            mine = (moment % self._visits == 0)[self._class_of]
            rng = np.random.default_rng([self.seed, ITEM_STREAM, moment])
            # Sorting first makes the shuffle independent of earlier ones: resume needs no history.
            rows = self._rows[mine]
            rows = rows[np.lexsort((rows, self._class_of[mine]))]
            self._rows[mine] = rows[np.lexsort((rng.random(len(rows)), self._class_of[mine]))]

    def _class_batches(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng([self.seed, CLASS_STREAM, epoch])
        p, count = self.classes_per_batch, len(self._counts)
        order = rng.permutation(count)
        if self._super is not None:
            order = self._by_super_class(order, rng)
        missing = self.batches_per_epoch * p - count
        last = order[(self.batches_per_epoch - 1) * p :]
        others = np.setdiff1d(order, last)
        order = np.concatenate([order, rng.choice(others, missing, replace=False)])
        extra = np.arange(len(order)) >= count
        return order.reshape(-1, p), extra.reshape(-1, p).astype(np.int64)

    def _by_super_class(self, order: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        p = self.classes_per_batch
        order = order[np.argsort(self._super[order], kind="stable")]
        pure, left = [], []
        for group in np.split(order, np.flatnonzero(np.diff(self._super[order])) + 1):
            whole = len(group) // p * p
            pure += np.split(group[:whole], whole // p) if whole else []
            left.append(group[whole:])
        rng.shuffle(pure)
        return np.concatenate([*pure, *left])
