"""Points of a map coloured by a number, with a scale in the data's units."""

from collections.abc import Callable

import numpy as np

from workbench.figures.colouring import Colouring, Scale
from workbench.palette import SEQUENTIAL

ROOM = 17  # levels of 255 between two ticks, so that their texts stay apart


def by_level(
    values: np.ndarray,
    title: str,
    *,
    lowest: float = 0.0,
    highest: float | None = None,
    log: bool = False,
    percent: bool = False,
    unknown: str = "not scored",
    rare: bool = False,
) -> Colouring:
    """Colour by a number, from pale to dark.

    Args:
        values: float, (n,); NaN where unknown.
        title: What is measured.
        lowest: Value of the pale end.
        highest: Value of the dark end; default: the largest.
        log: Spread small values: level by the logarithm of 1 + value - lowest.
        percent: Name values of 0..1 in percent.
        unknown: What it means that there is no value.
        rare: High values are few: draw their points larger where many crowd.

    Returns:
        A graded colouring with 255 levels.
    """
    values = np.asarray(values, np.float64)
    known = ~np.isnan(values)
    top = float(values[known].max(initial=lowest)) if highest is None else highest

    def level(value: np.ndarray | float) -> np.ndarray:
        above = np.maximum(np.asarray(value) - lowest, 0)
        place, span = (np.log1p(above), np.log1p(top - lowest)) if log else (above, top - lowest)
        return np.clip(1 + 254 * place / (span or 1), 1, 255)

    codes = np.zeros(len(values), np.uint8)
    codes[known] = level(values[known]).round()
    text = "{:.0%}" if percent else "{:,.0f}"
    ticks = _log_ticks(lowest, top, level) if log else np.linspace(lowest, top, 5)
    return Colouring(
        codes,
        () if known.all() else (unknown,),
        SEQUENTIAL,
        Scale(
            f"{title} (log scale)" if log else title,
            tuple((float(level(v)), text.format(v)) for v in dict.fromkeys(map(float, ticks))),
        ),
        prominence=(1.0, *np.linspace(1.0, 2.5, 255)) if rare else None,
    )


def _log_ticks(lowest: float, top: float, level: Callable[[float], float]) -> list[float]:
    """Return both ends, and 1, 2, 5, 10, ... or powers of ten between where there is room."""
    inner = [m * 10**e for e in range(9) for m in (1, 2, 5) if lowest < m * 10**e < top]
    if len(inner) > 7:
        inner = [value for value in inner if str(value)[0] == "1"]
    ticks = [lowest]
    for value in inner:
        if min(level(value) - level(ticks[-1]), level(top) - level(value)) > ROOM:
            ticks.append(value)
    return [*ticks, top]
