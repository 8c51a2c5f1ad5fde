"""Which files are images that can be read, and which are left out: the one vocabulary of suffixes.

Suffixes only choose the files of a folder. What a file is decoded as depends on its content; see
:mod:`retrieval.input_pipeline.decoding`.
"""

import os
import struct
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from PIL import Image

from retrieval.errors import counted

# Formats that both TensorFlow, which trains, and Pillow, which shows, decode to the same pixels.
FORMATS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "GIF": (".gif",),
    "WEBP": (".webp",),
    "BMP": (".bmp",),
}
IMAGE_SUFFIXES = tuple(suffix for suffixes in FORMATS.values() for suffix in suffixes)
CONVERT = "convert it to PNG or JPEG"
# What operating systems, network disks and notebooks leave in folders; see also `is_junk`.
JUNK = {
    "@eadir",
    "#recycle",
    "#snapshot",
    "$recycle.bin",
    "__macosx",
    "__pycache__",
    "desktop.ini",
    "ehthumbs.db",
    "ehthumbs_vista.db",
    "icon\r",
    "lost+found",
    "system volume information",
    "thumbs.db",
}
HEAD_BYTES = 66  # of a BMP, up to its color masks
KINDS_SHOWN = 6  # suffixes that a remark names
BMP_DEPTHS = (24, 32)
BMP_UNCOMPRESSED, BMP_MASKED = 0, 3
BMP_MASKS = (0xFF0000, 0xFF00, 0xFF)


def is_image_name(name: str) -> bool:
    """Tell whether a file's name ends like that of an image that can be read."""
    return name.lower().endswith(IMAGE_SUFFIXES)


def is_junk(name: str) -> bool:
    """Tell whether a file or folder is hidden, or was made by a system rather than by its user."""
    return name.startswith(".") or name.lower() in JUNK


def is_utf8(name: str) -> bool:
    """Tell whether a path is valid UTF-8, as tables, run folders and web pages need it."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def printable(name: str) -> str:
    r"""Return a path in one line of valid UTF-8: other bytes are shown as ``\xff``."""
    text = os.fsencode(name).decode(errors="backslashreplace") if not is_utf8(name) else name
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def format_of(image: Image.Image) -> str:
    """Return the format of an image, one of :data:`FORMATS` or another one's name."""
    # Some phones append a second picture (MPO); other programs read it as a JPEG.
    return "JPEG" if image.format == "MPO" else str(image.format)


def format_problem(image: Image.Image, head: bytes) -> str | None:
    """Return why the input pipeline cannot decode an image, in a few words; None if it can.

    Args:
        image: The image, opened by Pillow but not loaded.
        head: The first :data:`HEAD_BYTES` of the file.
    """
    kind = format_of(image)
    if kind not in FORMATS:
        return f"a {kind} image; only {', '.join(FORMATS)} can be decoded"
    if getattr(image, "is_animated", False) and kind in ("GIF", "WEBP"):
        return f"an animated {kind}, which is not one image"
    if kind == "BMP" and not _is_plain_bmp(image, head):
        return f"a BMP with a palette, a compression or 16 bits per pixel: {CONVERT}"
    return None


def _is_plain_bmp(image: Image.Image, head: bytes) -> bool:
    """Tell whether TensorFlow reads a BMP as it is meant: it takes palette indices for gray."""
    if len(head) < 34 or int.from_bytes(head[14:18], "little") < 40:
        return False
    depth, compression = struct.unpack_from("<HI", head, 28)
    if depth == 8 and compression == BMP_UNCOMPRESSED:
        return image.mode == "L"  # Pillow's mode for a palette in which each index is its own gray
    if depth == 32 and compression == BMP_MASKED:
        return len(head) >= 66 and struct.unpack_from("<3I", head, 54) == BMP_MASKS
    return depth in BMP_DEPTHS and compression == BMP_UNCOMPRESSED


def describe_left_out(
    root: Path, *, others: Sequence[str] = (), junk: int = 0, loose: int = 0
) -> list[str]:
    """Describe the files of a folder that are not read, by kind, in one line.

    Args:
        root: The folder.
        others: Names of the files that are no readable images. Defaults to none.
        junk: Number of hidden files and folders, and of those that a system made. Defaults to 0.
        loose: Number of images that lie in no class folder. Defaults to 0.

    Returns:
        One line, e.g. ``photos: left out 3 files that are no readable images (.tif 2, .txt 1)``;
        none if nothing was left out.
    """
    kinds = []
    if loose:
        kinds.append(counted(loose, "image", "images") + " in no class folder")
    if others:
        suffixes = Counter(PurePosixPath(name).suffix.lower() or "no suffix" for name in others)
        shown = [f"{printable(suffix)} {n:,}" for suffix, n in suffixes.most_common(KINDS_SHOWN)]
        if len(suffixes) > KINDS_SHOWN:
            shown.append(f"{len(suffixes) - KINDS_SHOWN} more kinds")
        files = counted(
            len(others), "file that is no readable image", "files that are no readable images"
        )
        kinds.append(f"{files} ({', '.join(shown)})")
    if junk:
        kinds.append(
            counted(junk, "hidden or system file or folder", "hidden or system files and folders")
        )
    return [f"{printable(str(root))}: left out {', '.join(kinds)}"] if kinds else []
