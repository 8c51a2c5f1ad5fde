"""Text of lists that people write: in UTF-8, or in UTF-16 or UTF-32 with a byte order mark."""

import codecs
from pathlib import Path

from retrieval.errors import UserError

# The mark of UTF-32 begins with that of UTF-16.
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
NO_TEXT = {b"PK\x03\x04": "an Excel file or another archive", b"PAR1": "a Parquet file"}


def read_text(path: Path) -> str:
    """Read a text file; the encoding is UTF-8 unless a byte order mark says otherwise.

    Args:
        path: The file.

    Returns:
        Its text without the mark, line ends unchanged.

    Raises:
        UserError: The file cannot be read, or is not text of such an encoding; names the row.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    for start, kind in NO_TEXT.items():
        if data.startswith(start):
            raise UserError(f"{path}: {kind}, not a text file: save it as CSV in UTF-8")
    encoding = next((name for mark, name in MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        row = 1 + _line_ends(data[: error.start].decode(encoding, errors="replace"))
        byte = data[error.start : error.start + 1].hex().upper()
        if encoding.startswith("utf-8"):
            raise UserError(
                f"{path} row {row}: not UTF-8 (byte {byte}): save the file as UTF-8, e.g. with "
                f"`iconv -f cp1252 -t utf-8`"
            ) from error
        raise UserError(
            f"{path} row {row}: damaged {encoding.upper()} (byte {byte}): save the file as UTF-8"
        ) from error
    if "\0" in text:
        row = 1 + _line_ends(text[: text.index("\0")])
        raise UserError(
            f"{path} row {row}: a NUL character, as in UTF-16 without a byte order mark or in a "
            "damaged file: save the file as UTF-8"
        )
    return text


def _line_ends(text: str) -> int:
    return text.count("\n") + text.count("\r") - text.count("\r\n")
