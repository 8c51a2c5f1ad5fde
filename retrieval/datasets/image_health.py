"""Is an image file whole? Every file is decoded once; what was found is kept until it changes.

The decoders of the input pipeline stop at some damage, and turn other damage into wrong pixels
without a word. Here, the checksums of PNGs are compared, and what libjpeg only warns of (bits that
are no code, data that end early or late) is a fault. What no format can tell, as a flipped bit of a
JPEG that happens to be another valid code, passes.
"""

import errno
import hashlib
import io
import json
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import simplejpeg
from PIL import Image

from retrieval.datasets.image_files import format_of, format_problem
from retrieval.datasets.image_limits import size_problem, too_large
from retrieval.errors import UserError
from retrieval.files import cache_folder, file_lock, file_stamps, fingerprint, write_text
from retrieval.progress import QUIET, progress_bar

VERSION = 2  # of the checks; raise it when they find more, so that files are checked again
ORIENTATION = 0x0112  # EXIF tag
END_OF_PNG = b"IEND\xaeB`\x82"
DIGEST = 8  # bytes
PART = 64  # images per unit of work


@dataclass(frozen=True)
class Health:
    """What was found about an image file.

    Attributes:
        width: Pixels as stored, before any rotation; 0 if the file cannot be opened.
        height: Likewise.
        digest: BLAKE2b of the content, by which copies are found: 16 hexadecimal digits; empty if
            the file cannot be opened.
        problem: What is wrong with it in a few words; None if it is whole.
    """

    width: int = 0
    height: int = 0
    digest: str = ""
    problem: str | None = None


# Size in bytes, time of change, width, height, digest.
Stamped = tuple[int, int, int, int, str]


def examine(root: Path, paths: Sequence[str], *, progress: bool = True) -> list[Health]:
    """Decode every image of a data set that has not been found whole before.

    Args:
        root: The data set's folder.
        paths: POSIX paths of n existing files, relative to ``root``.
        progress: Whether to show a progress bar when it takes long. Defaults to True.

    Returns:
        What was found about each file, in order.

    Raises:
        UserError: The cache cannot be written to.
    """
    files = [f"{root}/{path}" for path in paths]
    stamps = file_stamps(files)
    record = cache_folder("checked") / f"{fingerprint(VERSION, str(root.resolve()))}.json"
    known = _read_record(record)
    found: dict[int, Health] = {}
    unknown = []
    for row, (path, stamp) in enumerate(zip(paths, stamps, strict=True)):
        before = known.get(path)
        if before is not None and tuple(before[:2]) == stamp:
            found[row] = Health(*before[2:])
        else:
            unknown.append(row)
    new: dict[str, Stamped] = {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's about large images and odd metadata
            for row, health in _examined(files, unknown, progress):
                found[row] = health
                if health.problem is None:
                    new[paths[row]] = (*stamps[row], health.width, health.height, health.digest)
    finally:  # a check that is interrupted continues where it stopped
        if new:
            _add_to_record(record, new)
    return [found[row] for row in range(len(paths))]


def examine_files(files: Sequence[str], *, threads: int | None = None) -> list[Health]:
    """Decode image files without keeping what was found, for files that are read once.

    Args:
        files: The files, which need not exist.
        threads: How many threads decode. Defaults to one per processor.

    Returns:
        What was found about each file, in order.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = dict(_examined(list(files), list(range(len(files))), False, threads))
    return [found[row] for row in range(len(files))]


def _examined(
    files: list[str], rows: list[int], progress: bool, threads: int | None = None
) -> Iterator[tuple[int, Health]]:
    """Examine some of the files, in threads: the decoders release the interpreter's lock."""
    parts = [rows[start : start + PART] for start in range(0, len(rows), PART)]

    def examine_part(part: list[int]) -> list[tuple[int, Health]]:
        return [(row, image_health(files[row])) for row in part]

    with (
        ThreadPoolExecutor(threads or os.cpu_count()) as pool,
        progress_bar(
            "checking images", len(rows), show=progress, quiet=QUIET, leave=True
        ) as advance,
    ):
        for part in pool.map(examine_part, parts):
            yield from part
            advance(len(part))


def _read_record(record: Path) -> dict[str, Stamped]:
    try:
        files = json.loads(record.read_text(encoding="utf-8"))
        return {
            path: (int(size), int(changed), int(width), int(height), str(content))
            for path, (size, changed, width, height, content) in files.items()
        }
    except (OSError, ValueError, TypeError, AttributeError):  # missing or damaged: check again
        return {}


def _add_to_record(record: Path, new: dict[str, Stamped]) -> None:
    """Add files to the record of a folder, which other processes may add others to."""
    try:
        with file_lock(record.with_name(f".{record.name}.lock")):
            write_text(record, json.dumps(_read_record(record) | new))
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EROFS, errno.EPERM):
            raise
        raise UserError(
            f"{record}: the cache cannot be written ({error.strerror}): name a folder of your own "
            "with the variable RETRIEVAL_CACHE"
        ) from error


def image_problem(path: str) -> str | None:
    """Return what is wrong with an image file in a few words, or None if it is fine."""
    return image_health(path).problem


def image_health(path: str) -> Health:
    """Decode an image file in full and return what was found.

    Args:
        path: The file.
    """
    try:
        with open(path, "rb") as file:
            contents = file.read()
        if not contents:
            return Health(problem="unreadable or truncated image (the file is empty)")
        with Image.open(io.BytesIO(contents)) as image:
            problem = _kind_problem(image, contents) or _damage(image, contents)
            content = hashlib.blake2b(contents, digest_size=DIGEST).hexdigest()
            return Health(*image.size, content, problem)
    except FileNotFoundError:
        return Health(problem="missing")
    except Image.DecompressionBombError as error:
        pixels = re.search(r"\d+", str(error))
        size = f"{int(pixels[0]) / 1e6:.0f} megapixels" if pixels else "very many pixels"
        return Health(problem=too_large(size, "JPEG"))
    except Exception as error:  # Pillow raises many kinds, all of them mean "damaged"
        return Health(problem=f"unreadable or truncated image ({_reason(error)})")


def _kind_problem(image: Image.Image, contents: bytes) -> str | None:
    """Return why the input pipeline cannot use an image that is whole."""
    if problem := format_problem(image, contents):
        return problem
    if _has_ignored_orientation(image, format_of(image)):
        return (
            "its orientation is not in a JPEG's EXIF data, so it would be trained on "
            "sideways: rotate it (mogrify -auto-orient FILE)"
        )
    return size_problem(image)


def _has_ignored_orientation(image: Image.Image, kind: str) -> bool:
    """Tell whether viewers rotate an image by a tag that the input pipeline ignores.

    It rotates JPEGs by their EXIF data only; see :mod:`retrieval.input_pipeline.decoding`.
    """
    exif = "exif" in image.info
    if (exif and kind == "JPEG") or not (exif or "xmp" in image.info):
        return False
    return image.getexif().get(ORIENTATION, 1) not in (0, 1)


def _damage(image: Image.Image, contents: bytes) -> str | None:
    """Decode an image; return what its decoder complains about, or let it raise.

    Args:
        image: The image, opened but not loaded.
        contents: The file.
    """
    if image.format in ("JPEG", "MPO"):
        try:
            # At an eighth of the size: every bit is read, but few pixels are computed.
            simplejpeg.decode_jpeg(
                contents, "RGB", fastdct=True, min_height=1, min_width=1, strict=True
            )
        except ValueError as error:
            return f"damaged JPEG data ({_reason(error)})"
        return None
    if image.format == "PNG":  # loading it does not compare the checksums, and verifying is final
        with Image.open(io.BytesIO(contents)) as copy:
            copy.verify()
        if END_OF_PNG not in contents:  # which Pillow does not compare
            return "unreadable or truncated image (the end of the PNG is missing)"
    image.load()
    if image.format != "PNG":
        # Other formats have no checksums, and TensorFlow reads less of them than Pillow.
        import tensorflow as tf

        try:
            # With the file's own channels: of a transparent WebP, it refuses to decode fewer.
            tf.io.decode_image(contents, 0, expand_animations=False)
        except tf.errors.InvalidArgumentError as error:
            return f"damaged {image.format} data ({_reason(error)})"
    return None


def _reason(error: Exception) -> str:
    text = str(error).split("}} ")[-1].split(" [Op:")[0].split(" <_io")[0]  # of TensorFlow, Pillow
    return " ".join(text.split()) or type(error).__name__
