"""Text of lists that people write: in UTF-8, or in UTF-16 or UTF-32 with a byte order mark."""

import codecs
import csv
import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from retrieval.errors import UserError

# The mark of UTF-32 begins with that of UTF-16.
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
DELIMITERS = ",;\t"
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
    encoding = encoding_of(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        before = data[: error.start].decode(encoding, errors="replace")
        _refuse_nul(path, before)
        row = 1 + _line_ends(before)
        byte = data[error.start : error.start + 1].hex().upper()
        if encoding.startswith("utf-8"):
            raise UserError(
                f"{path} row {row}: not UTF-8 (byte {byte}): save the file as UTF-8; if it is of "
                f"Windows, with `iconv -f cp1252 -t utf-8 {shlex.quote(str(path))} -o NEW.csv`"
            ) from error
        raise UserError(
            f"{path} row {row}: damaged {encoding.upper()} (byte {byte}): save the file as UTF-8"
        ) from error
    _refuse_nul(path, text)
    return text


def encoding_of(start: bytes) -> str:
    """Return the encoding of a text: that of its byte order mark, or else UTF-8.

    Args:
        start: The first bytes of the text, at least four if there are as many.
    """
    return next((name for mark, name in MARKS.items() if start.startswith(mark)), "utf-8")


def first_row(path: Path) -> list[str]:
    """Return the cells of the first row of a table that is not blank, which may be its header.

    Args:
        path: The file, as for :func:`read_table`.

    Returns:
        The cells without the spaces around them; none if the file is empty.

    Raises:
        UserError: The file cannot be read.
    """
    line, delimiter, _ = _beginning(path)
    return [cell.strip() for cell in _split(line, delimiter)]


def delimiter_of(path: Path) -> str:
    """Return what separates the fields of a table; a comma if nothing does.

    Raises:
        UserError: The file cannot be read.
    """
    return _beginning(path)[1]


def _beginning(path: Path) -> tuple[str, str, str]:
    """Return the first line of a table that is not blank, its delimiter and its encoding."""
    try:
        with path.open("rb") as file:
            encoding = encoding_of(file.read(4))
        with path.open(encoding=encoding, errors="replace") as file:
            first = next((line.strip("\r\n") for line in file if line.strip()), "")
    except (UnicodeError, OSError) as error:
        raise UserError(f"{path}: not a CSV table ({' '.join(str(error).split())})") from None
    _refuse_nul(path, first)
    if encoding == "utf-8":
        encoding = "utf-8-sig"
    return first, delimiter_for(path, first), encoding


def read_table(path: Path, *, header: bool = True, **options: Any) -> pd.DataFrame:
    """Read a table, its fields separated as its first line has it.

    Args:
        path: The file. Its encoding is as for :func:`read_text`; in a ``.tsv`` file, tabs separate.
        header: Whether the first line names the columns. Defaults to True; otherwise, give
            ``names``.
        options: Options of :func:`pandas.read_csv`.

    Raises:
        UserError: The file cannot be read, or is not such a table; names the row if it can.
    """
    first, delimiter, encoding = _beginning(path)
    if header:
        check_columns([n for n in _split(first, delimiter) if n and not _is_number(n)], path)
    else:
        options["header"] = None
    try:
        frame: pd.DataFrame = pd.read_csv(path, sep=delimiter, encoding=encoding, **options)
    except UnicodeDecodeError:
        read_text(path)  # says in which row
        raise
    except (ValueError, OSError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: not a CSV table ({reason})") from None
    return frame


def check_columns(names: Sequence[str], where: Path | str) -> None:
    """Refuse a table with two columns of one name, of which only the first would be read.

    Args:
        names: Names of the columns.
        where: The table, for the message.

    Raises:
        UserError: Names the column.
    """
    twice = next((name for name, n in Counter(names).items() if n > 1), None)
    if twice is not None:
        raise UserError(f"{where}: has two columns {twice!r}; rename one")


def delimiter_for(path: Path, line: str) -> str:
    """Return what separates the fields of a table: of a ``.tsv`` file tabs, if there are any.

    Args:
        path: The file.
        line: Its first line.
    """
    return "\t" if path.suffix.lower() == ".tsv" and "\t" in line else delimiter_in(line)


def delimiter_in(line: str) -> str:
    """Return what separates the fields of a table's first line; a comma if nothing does.

    Args:
        line: The line. A delimiter in quotation marks does not count.
    """
    return next((d for d in DELIMITERS if len(_split(line, d)) > 1), ",")


def _split(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error:
        return []


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _refuse_nul(path: Path, text: str) -> None:
    if "\0" in text:
        row = 1 + _line_ends(text[: text.index("\0")])
        raise UserError(
            f"{path} row {row}: a NUL character, as in UTF-16 without a byte order mark or in a "
            "damaged file: save the file as UTF-8"
        )


def _line_ends(text: str) -> int:
    return text.count("\n") + text.count("\r") - text.count("\r\n")
