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
    return UserError(f"unknown {what} {given!r}: {_choices(given, valid)}")


def no_such_option(owner: str, given: str, valid: Iterable[str]) -> UserError:
    """Make the error for an option that its owner does not take.

    Args:
        owner: What was given the option, e.g. ``"data set sop"``.
        given: What the user wrote.
        valid: Every valid name.

    Returns:
        An error that names the closest match first, then all valid names.
    """
    return UserError(f"{owner} has no option {given!r}; {_choices(given, valid)}")


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return e.g. ``1 file`` or ``2,000 files``; ``many`` defaults to ``one`` with an s."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _choices(given: str, valid: Iterable[str]) -> str:
    valid = sorted(valid)
    close = difflib.get_close_matches(str(given), valid, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}valid: {', '.join(valid) or 'none'}"
