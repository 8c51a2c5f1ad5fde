"""Inputs for fuzzing: valid files with a few changes, and texts of the parts of a format."""

from hypothesis import strategies as st

INTERESTING = (
    b"\x00", b"\xff", b"\x7f", b"\x80", b"\n", b"\r", b",", b'"', b"\t", b"\x00\x00\x00\x00",
    b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80", b"\xff" * 8,
    b"\x7f" + b"\xff" * 7,
    b"nan", b"-1", b"99999999999999999999", b"1e400", b"[" * 300, b"{" * 300, b"&a [*a,*a]",
    b"../", b"\xef\xbb\xbf", b"\xff\xfe", b"\xed\xa0\x80", b"None", b"null", b"true",
    b"!!python/object:os",
)  # fmt: skip
OPERATIONS = ("set", "insert", "remove", "cut", "repeat", "zero", "copy")


@st.composite
def changed(draw: st.DrawFn, seeds: tuple[bytes, ...]) -> bytes:
    """Draw one of some valid contents with up to six changes."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 6))):
        operation = draw(st.sampled_from(OPERATIONS))
        at = draw(st.integers(0, max(0, len(data) - 1)))
        length = draw(st.integers(1, 64))
        if operation == "set":
            value = draw(st.one_of(st.sampled_from(INTERESTING), st.binary(min_size=1, max_size=4)))
            data[at : at + len(value)] = value
        elif operation == "insert":
            value = draw(st.one_of(st.sampled_from(INTERESTING), st.binary(min_size=1, max_size=8)))
            data[at:at] = value
        elif operation == "remove":
            del data[at : at + length]
        elif operation == "cut":
            del data[at:]
        elif operation == "repeat":
            data[at:at] = data[at : at + length] * draw(st.integers(1, 8))
        elif operation == "zero":
            data[at : at + length] = bytes(min(length, len(data) - at))
        else:
            source = draw(st.integers(0, max(0, len(data) - 1)))
            data[at : at + length] = data[source : source + length]
    return bytes(data)


def texts(tokens: tuple[str, ...], encodings: tuple[str, ...] = ("utf-8",)) -> st.SearchStrategy:
    """Return a strategy of texts that are made of tokens and other characters, encoded."""
    parts = st.one_of(st.sampled_from(tokens), st.text(max_size=6))
    joined = st.lists(parts, max_size=60).map("".join)
    return st.builds(
        lambda text, encoding: text.encode(encoding, "replace"), joined, st.sampled_from(encodings)
    )
