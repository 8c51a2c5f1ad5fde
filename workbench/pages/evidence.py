"""Is the difference real? Every pair of losses, tested on the same queries."""

import pandas as pd

from workbench.state import Selection


def evidence(chosen: Selection, table: pd.DataFrame) -> None:
    """Draw the matrix of paired tests.

    Args:
        chosen: What is being looked at.
        table: One row per loss, best first.
    """
