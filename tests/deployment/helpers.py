"""Helpers of several test files."""

import pytest

from retrieval.errors import UserError


def files_of(path) -> dict[str, bytes]:
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def refusal(function, *arguments, **options) -> str:
    """Check that a call is refused, in one line; return the line."""
    with pytest.raises(UserError) as caught:
        function(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)
