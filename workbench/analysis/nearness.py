"""How near a result is, in the measure that its run was searched with.

Stored scores are the cosine similarity or, for other distances, the distance with a minus sign, so
that the nearest result always has the highest score. People are shown the measure itself.
"""

import numpy as np
import pandas as pd

from retrieval.evaluation.protocol import ORDER, SCORES
from retrieval.runs.run import Run


def is_similarity(run: Run) -> bool:
    """Tell whether a run's scores are similarities, as the cosine is, not negative distances."""
    return run.result().protocol.distance in ("cosine", SCORES)


def nearness_text(run: Run, score: float, digits: int = 3) -> str:
    """Write how near a result is.

    Args:
        run: The run that the result belongs to.
        score: Its stored score.
        digits: Digits after the point. Defaults to 3.

    Returns:
        The similarity, or the letter d and the distance; empty for lists without scores.
    """
    if run.result().protocol.distance == ORDER:
        return ""
    return f"{score:.{digits}f}" if is_similarity(run) else f"d {abs(score):.{digits}f}"


def nearness_columns(run: Run, scores: np.ndarray, of: str = "") -> pd.DataFrame:
    """Return stored scores as a column of an exported table.

    Args:
        run: The run that was searched.
        scores: float, (n,).
        of: What the name of the column ends with. Defaults to nothing.

    Returns:
        One column, ``similarity`` or ``distance`` plus the ending.
    """
    scores = np.asarray(scores)
    if is_similarity(run):
        return pd.DataFrame({f"similarity{of}": scores})
    return pd.DataFrame({f"distance{of}": np.abs(scores)})
