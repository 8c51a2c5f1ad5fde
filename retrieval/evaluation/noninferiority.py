"""Non-inferiority: is a run not worse than another by more than a margin?

"Not significantly worse" is no answer, since too few classes make any difference insignificant. The
question needs a margin, chosen before looking, and the whole interval on one side of it.
"""

import math

from retrieval.errors import UserError

YES, NO, UNKNOWN = "yes", "no", "cannot tell"


def check_margin(margin: float) -> float:
    """Return a margin, if it is a positive number.

    Raises:
        UserError: It is not.
    """
    if not (math.isfinite(margin) and margin > 0):
        raise UserError(f"margin = {margin:g}: give a difference above 0")
    return margin


def not_worse(low: float, high: float, margin: float) -> str:
    """Say whether a difference is not below minus a margin.

    >>> not_worse(-0.004, 0.02, 0.01), not_worse(-0.05, -0.02, 0.01), not_worse(-0.02, 0.01, 0.01)
    ('yes', 'no', 'cannot tell')

    Args:
        low: Lower end of the interval of the difference; NaN if there is none.
        high: Its upper end.
        margin: The margin, above 0, in the unit of the difference.

    Returns:
        ``yes`` if the interval lies above -margin, ``no`` if it lies below, else ``cannot tell``.

    Raises:
        UserError: The margin is not above 0.
    """
    margin = check_margin(margin)
    if low > -margin:
        return YES
    return NO if high < -margin else UNKNOWN
