"""The one exception a user is meant to see."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Bad input: one line that names the file, row or option at fault and the fix."""


def unknown_option(what: str, given: str, valid: Iterable[str]) -> UserError:
    """Make the error for a name that is not in a registry or a settings class.

    Args:
        what: The kind of thing, e.g. ``"loss"`` or ``"option of hard_triplet"``.
        given: What the user wrote.
        valid: Every valid name.

    Returns:
        An error that names the closest match first, then all valid names.
    """
    valid = sorted(valid)
    close = difflib.get_close_matches(str(given), valid, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return UserError(f"unknown {what} {given!r}: {hint}valid: {', '.join(valid) or 'none'}")
