"""What smaller forms of an embedding cost: paired differences from the full one, with intervals.

The forms of a run answer the same queries, so a cost is the mean of the differences of every query.
All costs of a run are one family, its forms against the full embedding (Dunnett 1955), resampled by
whole classes, see :mod:`retrieval.evaluation.families`.

A form that is nearly as good as the full one changes few queries, and resamples of hardly any
changed queries say nothing: without one, their interval would be [0, 0], as if no query could ever
change. Where fewer than six classes change, the shares of queries won and lost are
bounded as those of coins instead (Clopper and Pearson 1934), n / deff of them: as many independent
queries as the n queries of classes are worth (Korn and Graubard 1998, "Confidence intervals for
proportions with small expected number of positive counts estimated from survey data"). The design
effect deff, by which the queries of a class change together, cannot be seen where hardly any does.
It is that of the form that changes the fewest queries of those that enough classes carry: the fewer
queries change, the less do those of a class change together, so this is on the safe side. Without
such a form, whole classes are the coins, which is the widest.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from retrieval.errors import UserError, unknown_option
from retrieval.evaluation.bootstrap import ClassScores, class_sums
from retrieval.evaluation.compression import FLOAT32
from retrieval.evaluation.families import Contrasts, rare_interval
from retrieval.evaluation.metrics import HEADLINE, bounds_of
from retrieval.evaluation.significance import compare, default_samples
from retrieval.evaluation.statistics import LEAST_DIFFERING, effective_classes, too_few_classes
from retrieval.validation import check_integer

BOOTSTRAP, FEW, UNCHANGED = "bootstrap", "few changes", "no change"
COLUMNS = (
    "form", "value", "low", "high", "cost", "cost_low", "cost_high", "significant", "changed",
    "queries", "rule"
)  # fmt: skip


def costs(
    scores: Mapping[str, np.ndarray],
    classes: np.ndarray,
    metric: str = HEADLINE,
    *,
    full: str = FLOAT32,
    n_samples: int | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Tabulate the value of every form, and what it costs beside the full embedding.

    Args:
        scores: Form -> scores of every query, float (seeds, q) or (q,), where NaN marks queries
            that do not count.
        classes: (q,), class of each query.
        metric: Name of the metric. Defaults to ``recall@1``.
        full: The form that the others are compared with. Defaults to ``float32``.
        n_samples: Number of resamples, see :func:`retrieval.evaluation.significance.compare`.
        seed: Seed of the resamples. Defaults to 0.

    Returns:
        One row per form, in the given order. ``form``; ``value``, ``low`` and ``high``, its mean
        and 95% interval; ``cost``, the value of the full embedding minus this one, ``cost_low`` and
        ``cost_high``, its 95% interval, simultaneous over the forms (NaN if the classes are too few
        for a claim); ``significant``, whether the interval excludes 0; ``changed``, the number of
        queries whose score differs for some seed, of ``queries``; ``rule``, how the interval is
        made: ``bootstrap``, ``few changes`` or ``no change``. The cost of the full embedding is 0.

    Raises:
        UserError: There is no full embedding, no other form, or no query that counts.
    """
    if full not in scores:
        raise unknown_option("form to compare with", full, list(scores))
    if len(scores) < 2:
        raise UserError("nothing to compare: give at least one form besides the full embedding")
    table = {name: np.atleast_2d(np.asarray(each, np.float64)) for name, each in scores.items()}
    keep = np.all([np.isfinite(each).all(axis=0) for each in table.values()], axis=0)
    if not keep.any():
        raise UserError("no query counts for every form: nothing to compare")
    labels = np.asarray(classes)[keep]
    values = compare(table, classes, metric, n_samples=1, seed=seed).summary.set_index("name")
    apart = {name: table[full][:, keep] - each[:, keep] for name, each in table.items()}
    members = _against_full(apart, labels, full, n_samples, seed)
    means = {name: each.mean(axis=0) for name, each in apart.items() if name != full}
    effects = _DesignEffects(means, labels)
    width = np.diff(bounds_of(metric))[0]
    rows = []
    for name in table:
        row = {"form": name, "queries": int(keep.sum()), "rule": BOOTSTRAP}
        row |= {end: float(values.loc[name, source]) for end, source in _ENDS.items()}
        if name == full:
            row |= {"cost": 0.0, "cost_low": 0.0, "cost_high": 0.0, "significant": False}
            rows.append(row | {"changed": 0, "rule": ""})
            continue
        changed = int((np.abs(apart[name]) > 1e-12).any(axis=0).sum())
        cost, low, high = members[name]
        if not effects.carries[name] and not too_few_classes(effects.effective):
            low, high = effects.few(name, len(means), width)
            row["rule"] = FEW if changed else UNCHANGED
        low, high = np.clip((low, high), -width, width).tolist()
        row |= {"cost": cost, "cost_low": low, "cost_high": high, "changed": changed}
        rows.append(row | {"significant": bool(low > 0 or high < 0)})
    return pd.DataFrame(rows)[list(COLUMNS)]


_ENDS = {"value": "mean", "low": "low", "high": "high"}


def _against_full(
    apart: Mapping[str, np.ndarray],
    classes: np.ndarray,
    full: str,
    n_samples: int | None,
    seed: int,
) -> dict[str, tuple[float, float, float]]:
    """Return the cost of every form with its simultaneous interval.

    The forms of a seed are forms of one embedding, so it is their costs that scatter over seeds,
    not their values. Variances over seeds are drawn towards each other as those of runs are, in
    units of how much a form changes the score of a query (root mean square), since a form that
    changes more queries scatters more.

    Args:
        apart: Form -> what the full embedding is ahead on every query, float64 (seeds, q).
        classes: (q,), class of each query.
        full: The full embedding, which is ahead of itself by 0.
        n_samples: Number of resamples; None for the default.
        seed: Seed of the resamples.
    """
    forms = [name for name in apart if name != full]
    # A form that changes nothing stays as it is.
    units = {name: float(np.sqrt(np.square(apart[name]).mean())) or 1.0 for name in forms}
    scores = ClassScores.of([apart[full], *(apart[n] / units[n] for n in forms)], classes)
    if n_samples is None:
        n_samples = default_samples(len(scores.size))
    _, found = Contrasts(scores, check_integer("n_samples", n_samples, 1), seed).with_baseline(0)
    columns = zip(forms, found.difference, found.low, found.high, strict=True)
    return {
        name: (units[name] * float(cost), units[name] * float(low), units[name] * float(high))
        for name, cost, low, high in columns
    }


class _DesignEffects:
    """How much the queries of a class change together, and the intervals that follow from it.

    Attributes:
        carries: Form -> whether enough classes change for the bootstrap.
        effect: The design effect of the form that changes the fewest queries of those that do, at
            least 1; None without one.
        effective: Effective number of classes.
    """

    def __init__(self, means: Mapping[str, np.ndarray], classes: np.ndarray) -> None:
        """Measure the design effects.

        Args:
            means: Form -> mean difference of every query over seeds, float64 (q,).
            classes: (q,), class of each query.
        """
        self._means = means
        self.carries: dict[str, bool] = {}
        self.effect: float | None = None
        self.effective = effective_classes(np.unique(classes, return_counts=True)[1])
        fewest = len(classes) + 1
        for name, each in means.items():
            sums, size = class_sums(each[:, None], classes)
            net = np.abs(sums[:, 0]) > 1e-9 * size
            self.carries[name] = int(np.count_nonzero(net)) >= LEAST_DIFFERING
            changed = int(np.count_nonzero(each))
            if self.carries[name] and changed < fewest:
                c, n, fewest = len(size), len(each), changed
                apart = sums[:, 0] - size * each.mean()
                by_class = c / (c - 1) * np.square(apart).sum() / n**2
                self.effect = max(1.0, float(by_class / (each.var(ddof=1) / n)))

    def few(self, name: str, n_members: int, width: float) -> tuple[float, float]:
        """Return the interval of a cost that few classes carry; it holds 0.

        Args:
            name: The form.
            n_members: Number of forms of the family.
            width: Greatest possible difference.
        """
        each = self._means[name] / width
        coins = self.effective if self.effect is None else len(each) / self.effect
        # At least one part in 10^15, so that no change at all has an interval like any other.
        gains, losses = (
            np.array([max(float(side.clip(0).mean()), 1e-15)]) for side in (each, -each)
        )
        low, high = rare_interval(gains, losses, coins, n_members)
        return width * float(low[0]), width * float(high[0])
