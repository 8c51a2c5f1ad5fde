"""The one exception a user is meant to see."""

import pytest

from retrieval.errors import UserError


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a.csv: row 2: café, naïve 名", "a.csv: row 2: café, naïve 名"),
        ("seed = \n: give a number", r"seed = \n: give a number"),
        ("x\x1b[31m\u202e.jpg: missing", r"x\x1b[31m\u202e.jpg: missing"),
        ("\udcff.jpg: not UTF-8", r"\udcff.jpg: not UTF-8"),  # a byte of a file name
    ],
)
def test_a_message_is_one_line_that_can_be_printed(text, shown):
    assert str(UserError(text)) == shown
    assert shown.encode()
