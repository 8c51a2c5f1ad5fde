"""Every pair of runs: its difference, interval and tests, corrected for their number."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Self

import numpy as np
import pandas as pd

from retrieval.evaluation.bootstrap import percentile_interval
from retrieval.evaluation.paired_tests import ALPHA, holm, mcnemar, paired_p


@dataclass(frozen=True)
class Resampled:
    """The mean of every run in every resample, and where its spread comes from.

    Attributes:
        classes: float64, (n_samples, names), means over resampled classes.
        seeds: float64, (n_samples, names), deviations of the mean over training seeds.
        errors: float64, (names,), standard error of the mean over seeds; 0 for one seed.
        n_seeds: int64, (names,), seeds.
        n_classes: Classes.
    """

    classes: np.ndarray
    seeds: np.ndarray
    errors: np.ndarray
    n_seeds: np.ndarray
    n_classes: int

    @classmethod
    def of(
        cls, table: Mapping[str, np.ndarray], classes: np.ndarray, n_classes: int, seed: int
    ) -> Self:
        """Add the spread over seeds, drawn from t: few seeds say little about their spread.

        Args:
            table: Name -> scores, float64 (seeds, q).
            classes: float64, (n_samples, names), means over resampled classes.
            n_classes: Classes.
            seed: Seed of the draws.

        Returns:
            Resamples; their deviations are 0 for runs with one seed.
        """
        rng = np.random.default_rng([seed, 1])
        noise, errors = np.zeros(classes.shape), np.zeros(len(table))
        n_seeds = np.array([len(value) for value in table.values()])
        for column, value in enumerate(table.values()):
            if len(value) > 1:
                errors[column] = value.mean(axis=1).std(ddof=1) / np.sqrt(len(value))
                noise[:, column] = errors[column] * rng.standard_t(len(value) - 1, len(classes))
        return cls(classes, noise, errors, n_seeds, n_classes)

    @property
    def both(self) -> np.ndarray:
        """Means over classes with the deviations of seeds, float64 (n_samples, names)."""
        return self.classes + self.seeds

    def p(self, a: int, b: int, difference: float) -> float:
        """Return the p-value of the difference of two columns, see :func:`paired_p`."""
        over_classes = self.classes[:, a] - self.classes[:, b]
        both = over_classes + self.seeds[:, a] - self.seeds[:, b]
        errors = np.array([over_classes.std(), self.errors[a], self.errors[b]])
        freedom = np.array([self.n_classes, self.n_seeds[a], self.n_seeds[b]]) - 1
        return paired_p(both, difference, errors, freedom, self.n_classes)


def pair_table(
    table: Mapping[str, np.ndarray], means: np.ndarray, resampled: Resampled, order: list[str]
) -> pd.DataFrame:
    """Compare every pair, the better of the two first.

    Args:
        table: Name -> scores, float64 (seeds, q).
        means: float64, (q, names), means over seeds in the order of the table.
        resampled: Of the same names.
        order: Names, best first.

    Returns:
        ``pairs`` of :class:`significance.Comparison`; no columns where there is no pair.
    """
    column = {name: i for i, name in enumerate(table)}
    both, binary = resampled.both, np.isin(means, (0, 1)).all()
    rows = []
    for a, b in combinations(order, 2):
        x, y = means[:, column[a]], means[:, column[b]]
        low, high = percentile_interval(both[:, column[a]] - both[:, column[b]])
        wins, losses = int((x > y).sum()), int((x < y).sum())
        coins = binary and len(table[a]) == len(table[b]) == 1
        difference = x.mean() - y.mean()
        rows.append(
            {
                "a": a,
                "b": b,
                "difference": difference,
                "low": low,
                "high": high,
                "p": resampled.p(column[a], column[b], difference),
                "wins": wins,
                "ties": len(x) - wins - losses,
                "losses": losses,
                "p_mcnemar": mcnemar(wins, losses) if coins else np.nan,
            }
        )
    frame = pd.DataFrame(rows)
    if len(frame):
        frame.insert(6, "p_holm", holm(frame["p"].to_numpy()))
        frame.insert(7, "significant", frame["p_holm"] < ALPHA)
        frame["p_mcnemar_holm"] = holm(frame["p_mcnemar"].to_numpy())
    return frame
