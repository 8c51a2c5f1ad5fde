"""Planning: how many classes or training seeds would resolve a difference."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from retrieval.errors import UserError
from retrieval.evaluation.bootstrap import ClassScores
from retrieval.evaluation.statistics import ALPHA

POWER = 0.8


@dataclass(frozen=True)
class Plan:
    """What it takes to resolve a difference: 80% power at the 5% level, two-sided.

    Attributes:
        resolution: The difference to resolve, as stored.
        classes: Effective number of classes of this test set.
        seeds: Number of training seeds of the run with fewer.
        needed_classes: Effective number of classes needed with as many seeds; infinite if no
            number is enough, because the seeds alone scatter too much; NaN if the runs do not
            differ in any class, so that nothing is known of the spread.
        needed_seeds: Number of seeds of each run needed on these classes; infinite if no number is
            enough, because the classes alone scatter too much; NaN if a run has one seed only,
            whose spread is unknown.
        times: How many times as many classes, and as many seeds, are needed together.
    """

    resolution: float
    classes: float
    seeds: int
    needed_classes: float
    needed_seeds: float
    times: float


def plan(scores: ClassScores, a: int, b: int, resolution: float) -> Plan:
    """Plan for two runs like these, from the spread of their difference over classes and seeds.

    The standard error must be at most resolution / (1.96 + 0.84), see Cohen 1988, chapter 2. The
    variance over classes falls with the number of classes, that over seeds with the number of
    seeds.

    Args:
        scores: The scores of the runs.
        a: Column of a run.
        b: Column of another run.
        resolution: The difference to resolve, above 0, as stored.

    Returns:
        The plan.

    Raises:
        UserError: The resolution is not above 0.
    """
    if not (math.isfinite(resolution) and resolution > 0):
        raise UserError(f"resolution = {resolution:g}: give a difference above 0")
    apart, size = scores.sums[:, a] - scores.sums[:, b], scores.size
    n, c = size.sum(), len(size)
    spread = np.square(apart - size * apart.sum() / n).sum() / n**2 * c / max(1, c - 1)
    seeds = int(min(scores.n_seeds[[a, b]]))
    over_seeds = float(scores.seed_errors[[a, b]].sum())
    wanted = (resolution / (special.ndtri(1 - ALPHA / 2) + special.ndtri(POWER))) ** 2
    classes = spread * scores.effective / (wanted - over_seeds) if wanted > over_seeds else np.inf
    if spread == 0:
        classes = np.nan
    needed = np.nan
    if seeds > 1:
        each = float((scores.seed_errors * scores.n_seeds)[[a, b]].sum())
        needed = each / (wanted - spread) if wanted > spread else np.inf
    return Plan(
        resolution,
        scores.effective,
        seeds,
        np.ceil(classes) if np.isfinite(classes) else float(classes),
        max(1.0, np.ceil(needed)) if np.isfinite(needed) else float(needed),
        float((spread + over_seeds) / wanted),
    )
