"""Error rates of thresholds in words and tables, for the command line and the app."""

import numpy as np
import pandas as pd

from retrieval.evaluation.metrics import DASH
from retrieval.evaluation.statistics import LEVEL, too_few_classes, too_few_line
from retrieval.evaluation.thresholds import EER, LEAST_ERRORS, Thresholds

INTERVAL = f"{100 * LEVEL:.0f}%"


def percent(share: float, low: float = np.nan, high: float = np.nan) -> str:
    """Write a rate in percent with three significant digits, and its interval if there is one.

    >>> percent(0.1203, 0.0954, 0.1612), percent(0.0000976), percent(0.0)
    ('12.0% [9.54, 16.1]', '0.00976%', '0%')
    """
    if not np.isfinite(share):
        return DASH
    text = f"{_digits(100 * share)}%"
    return text if not np.isfinite(low) else f"{text} [{_digits(100 * low)}, {_digits(100 * high)}]"


def _digits(value: float) -> str:
    if value == 0:
        return "0"
    return f"{value:.{max(0, 2 - int(np.floor(np.log10(abs(value)))))}f}"


def pairs_line(rates: Thresholds) -> str:
    """Say which pairs were compared, and which rates they resolve; without a full stop."""
    line = (
        f"{rates.n_positive:,} pairs of one class, {rates.n_negative:,} of two, which count as "
        f"{rates.effective_classes:.1f} classes of equal size"
    )
    if too_few_classes(rates.effective_classes):
        return f"{line}; {too_few_line(rates.effective_classes)}"
    if not np.isfinite(rates.finest):
        return f"{line}; false matches are too few, or of too few classes, for intervals"
    return (
        f"{line}; the smallest FMR with an interval is {percent(rates.finest)} (at least "
        f"{LEAST_ERRORS} false matches of 10 classes)"
    )


def point_title(point: str | float) -> str:
    """Name a point of the curve."""
    return EER if point == EER else f"FNMR at FMR {100 * float(point):g}%"


def points_table(rates: Thresholds) -> pd.DataFrame:
    """Return the EER and FNMR at FMR as texts."""
    return pd.DataFrame(
        [
            {
                "Figure": point_title(row.point),
                f"Rate [{INTERVAL}]": percent(row.fnmr, row.low, row.high),
                "Threshold": threshold_text(row.threshold) + ("" if row.exact else " (ties)"),
                "False matches": f"{row.false_matches:,}",
            }
            for row in rates.points.itertuples()
        ]
    )


def transfer_table(rates: Thresholds) -> pd.DataFrame:
    """Return what a threshold of one half of the classes does on the other, as texts."""
    return pd.DataFrame(
        [
            {
                "Chosen for": EER if row.point == EER else f"FMR {100 * float(row.point):g}%",
                "Threshold": threshold_text(row.threshold),
                f"FMR [{INTERVAL}]": percent(row.fmr, row.fmr_low, row.fmr_high),
                f"FNMR [{INTERVAL}]": percent(row.fnmr, row.fnmr_low, row.fnmr_high),
            }
            for row in rates.transfer.itertuples()
        ]
    )


def open_set_table(rates: Thresholds) -> pd.DataFrame:
    """Return FNIR at FPIR as texts."""
    return pd.DataFrame(
        [
            {
                "Figure": f"FNIR at FPIR {100 * row.fpir_level:g}%",
                f"Rate [{INTERVAL}]": percent(row.fnir, row.low, row.high),
                "Threshold": threshold_text(row.threshold),
            }
            for row in rates.open_set.itertuples()
        ]
    )


def open_set_line(rates: Thresholds) -> str:
    """Say why FNIR at FPIR has no interval; empty if it has, or if there is no figure."""
    if rates.open_set.empty or np.isfinite(rates.open_set["low"]).all():
        return ""
    return (
        f"No interval where fewer than {LEAST_ERRORS} queries without a positive are accepted, or "
        "where they count as fewer than 10 classes."
    )


def threshold_text(threshold: float) -> str:
    """Write a threshold: a similarity, or the distance that is a negative similarity."""
    return f"{threshold:.4f}"


def calibration_line(rates: Thresholds) -> str:
    """Say how well the calibrated probabilities hold on the other classes; empty if unknown."""
    if not np.isfinite(rates.brier):
        return ""
    skill = 1 - rates.brier / rates.brier_of_share if rates.brier_of_share else np.nan
    than = "worse" if skill < 0 else "better"
    return (
        f"P(same class | similarity), fitted on one half of the classes: on the other half, the "
        f"probabilities are off by {percent(rates.calibration_error)} on average, and the Brier "
        f"score is {percent(abs(skill))} {than} than that of a constant."
    )
