"""The one exception a user is meant to see, and the makers of its most common messages."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Bad input: one line that names the file, row or option at fault and the fix.

    Names and values of the user's may hold line breaks, control characters, or bytes that are no
    text; they are shown escaped.
    """

    def __str__(self) -> str:
        return one_line(super().__str__())


def one_line(text: str) -> str:
    """Return a text with line breaks, and what else a terminal should not get, escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def unknown_option(kind: str, given: str, valid: Iterable[str]) -> UserError:
    """Return the error for a name that is not in a registry.

    Args:
        kind: What the name should have been, e.g. ``"loss"`` or ``"option of hard_triplet"``.
        given: The name the user gave.
        valid: Every valid name.

    Returns:
        An error that names the closest match first, then all valid names.
    """
    return UserError(f"unknown {kind} {given!r}: {_names(given, valid)}")


def no_such_option(owner: str, given: str, valid: Iterable[str]) -> UserError:
    """Return the error for an option that its owner does not have.

    Args:
        owner: What the option was given to, e.g. ``"data set sop"``.
        given: The option the user gave.
        valid: Every valid name.

    Returns:
        An error that names the closest match first, then all valid names.
    """
    return UserError(f"{owner} has no option {given!r}; {_names(given, valid)}")


def did_you_mean(given: object, valid: Iterable[str]) -> str:
    """Return ``"did you mean 'adam'? "`` for a near miss such as ``adamm``; else an empty text."""
    close = difflib.get_close_matches(str(given), list(valid), n=1)
    return f"did you mean {close[0]!r}? " if close else ""


def counted(number: int, singular: str, plural: str | None = None) -> str:
    """Return a number with its noun, e.g. ``1 file`` or ``2,000 files``.

    Args:
        number: How many there are.
        singular: The noun for one of them.
        plural: The noun for any other number. Defaults to ``singular`` with an s.
    """
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def _names(given: str, valid: Iterable[str]) -> str:
    valid = sorted(valid)
    return f"{did_you_mean(given, valid)}valid: {', '.join(valid) or 'none'}"


def how_to_install(extra: str) -> str:
    """Return the command that installs an extra of this package, for the end of a message.

    >>> how_to_install("vit")
    "run `pip install -e '.[vit]' -c constraints.txt` in the repository"

    Args:
        extra: Its name in ``pyproject.toml``.
    """
    return f"run `pip install -e '.[{extra}]' -c constraints.txt` in the repository"
