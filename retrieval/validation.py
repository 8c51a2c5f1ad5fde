"""The vocabulary of checks that settings, losses, evaluation and samplers share.

Every check returns the value as plain Python (a NumPy scalar becomes a Python one, which YAML and
JSON can hold) or raises a :class:`UserError` of one line that names the option, the value and the
fix: ``steps = 0: give a whole number of at least 1``.

A list of choices that more than one package needs is written here, once, as a ``Literal``. The
registries that map a choice to its implementation (optimizers, schedules, poolings, ...) have
exactly these keys; ``tests/test_validation.py`` compares them.
"""

import itertools
import math
import numbers
import re
from collections.abc import Iterable, Sequence
from typing import Literal, TypeVar, get_args

import numpy as np

from retrieval.errors import UserError, did_you_mean

Augmentation = Literal["none", "crop", "color", "strong"]
Checkpoint = Literal["latest", "best"]
Distance = Literal["cosine", "euclidean", "squared_euclidean", "cityblock"]
Ties = Literal["descending", "ascending", "listed"]  # order of equal scores in a ranked list
Unlisted = Literal["unknown", "never"]  # where relevant items lie that a ranked list lacks
MissingList = Literal["zero", "exclude"]  # what a query without a ranked list counts as
Distribution = Literal["none", "mirrored", "workers"]
EvaluationSplit = Literal["none", "test", "validation"]
ExportFormat = Literal["saved_model", "onnx", "litert"]
ExportPrecision = Literal["float32", "float16", "int8"]
SearchDevice = Literal["cpu", "gpu"]
KMeansStart = Literal["greedy k-means++", "random", "none"]
NoPositive = Literal["exclude", "zero"]
Optimizer = Literal["adam", "adamw", "momentum"]
MapPooling = Literal["average", "average+max", "gem", "max"]  # of any feature map
TokenPooling = Literal["cls", "cls+average", "head"]  # of transformers that have such
Pooling = Literal[MapPooling, TokenPooling]
Role = Literal["query", "gallery", "both"]  # of an item in an evaluation
Schedule = Literal["constant", "polynomial", "cosine", "step"]
View = Literal["center", "five_crop", "average_pool", "flip"]
ViewMean = Literal["normalized", "plain"]

# The size of an image: the side of a square, or its height and width, as (256, 128) or "256x128".
ImageSize = int | str | Sequence[int]
Sides = tuple[int, int]  # height and width in pixels
SIDES = ("height", "width")

MAP_POOLINGS: tuple[str, ...] = get_args(MapPooling)
RESIZED_CROPS = ("crop", "strong")  # the augmentations that draw random resized crops

# Name of each evaluation protocol -> the protocol in words.
LEAVE_ONE_OUT, QUERY_GALLERY = "leave_one_out", "query_gallery"
PROTOCOLS = {LEAVE_ONE_OUT: "leave-one-out", QUERY_GALLERY: "query -> gallery"}

DEFAULT_CROP_AREA = 0.4  # smallest area of a random resized crop, as a share of the image
DEFAULT_DISTANCE: Distance = "cosine"
DEFAULT_KMEANS_START: KMeansStart = "greedy k-means++"
DEFAULT_KS = (1, 2, 4, 8, 16)  # the K of Recall@K
DEFAULT_NO_POSITIVE: NoPositive = "exclude"
DEFAULT_TIES: Ties = "descending"
DEFAULT_UNLISTED: Unlisted = "unknown"
DEFAULT_MISSING_LIST: MissingList = "zero"

HEIGHT_AND_WIDTH = "a height and a width, such as 256x128"

MAX_SEED = 2**32 - 1  # the largest seed that NumPy's legacy generators and scikit-learn accept

T = TypeVar("T")


def protocol_with(base: str, rules: str) -> str:
    """Name a protocol that leaves out more than the query itself, for files and URLs.

    >>> protocol_with(QUERY_GALLERY, "same class and camera")
    'query_gallery.same-class-and-camera'

    Args:
        base: Name of the protocol without those rules.
        rules: What is left out, in words.
    """
    return f"{base}.{re.sub('[^A-Za-z0-9_]+', '-', rules)}"


def base_protocol(name: str) -> str:
    """Return which of :data:`PROTOCOLS` a protocol is, whatever it leaves out.

    >>> base_protocol("query_gallery.same-class-and-camera")
    'query_gallery'
    """
    return name.partition(".")[0]


def choices_of(literal: object) -> tuple[str, ...]:
    """Return the values of one of the ``Literal`` types above, in order."""
    return get_args(literal)


def listed(literal: object) -> str:
    """Return the values of a ``Literal`` for a sentence: ``adam, adamw or momentum``."""
    *most, last = choices_of(literal)
    return f"{', '.join(most)} or {last}"


def check_choice(name: str, value: object, choices: Iterable[T]) -> T:
    """Check that a value is one of the choices.

    Args:
        name: Name of the option, for the error.
        value: The value that was given.
        choices: The valid values, such as ``choices_of(Distance)``.

    Returns:
        The choice.

    Raises:
        UserError: The value is none of the choices; names the closest one.
    """
    choices = list(choices)
    given = plain(value)
    # True == 1, but True is not the choice 1.
    if isinstance(given, str | int | float) and not isinstance(given, bool):
        for choice in choices:
            if choice == given:
                return choice
    raise refused(name, value, wanted_choice(value, choices))


def check_number(
    name: str,
    value: object,
    above: float | None = None,
    below: float | None = None,
    *,
    least: float | None = None,
    most: float | None = None,
) -> float:
    """Check that a value is a finite number within limits.

    Args:
        name: Name of the option, for the error.
        value: The value given. ``True`` and text are not numbers.
        above: Exclusive lower limit. Defaults to None, no limit.
        below: Exclusive upper limit. Defaults to None, no limit.
        least: Inclusive lower limit. Defaults to None, no limit.
        most: Inclusive upper limit. Defaults to None, no limit.

    Returns:
        The number, as a Python int or float.

    Raises:
        UserError: The value is not such a number; names the limits.
    """
    number = as_number(value)
    within = number is not None and not (
        (above is not None and number <= above)
        or (below is not None and number >= below)
        or (least is not None and number < least)
        or (most is not None and number > most)
    )
    if number is None or not within:
        raise refused(name, value, wanted_number(above, below, least=least, most=most))
    return number


def check_integer(name: str, value: object, least: int, most: int | None = None) -> int:
    """Check that a value is a whole number within limits.

    Args:
        name: Name of the option, for the error.
        value: The value given. A float such as 2.0 is a whole number; ``True`` and text are not.
        least: Smallest valid number.
        most: Largest valid number. Defaults to None, no limit.

    Returns:
        The number, as a Python int.

    Raises:
        UserError: The value is not such a number; names the limits.
    """
    number = as_number(value)
    whole = number is not None and number == math.floor(number)
    if number is None or not whole or number < least or (most is not None and number > most):
        raise refused(name, value, wanted_number(least=least, most=most, whole=True))
    return int(number)


def check_integers(name: str, values: object, least: int) -> tuple[int, ...]:
    """Check that a value is a series of whole numbers of at least ``least``.

    Args:
        name: Name of the option, for the error.
        values: The value given: a list, a tuple or an array.
        least: Smallest valid number.

    Returns:
        The numbers, as Python ints, in their order.

    Raises:
        UserError: The value is not a series, or one of its members is not such a number.
    """
    if isinstance(values, np.ndarray):
        values = values.tolist()
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise refused(name, values, "give a list of whole numbers, such as [1, 2, 4, 8]")
    return tuple(check_integer(name, value, least) for value in values)


def check_seed(name: str, value: object) -> int:
    """Check that a value is a seed: a whole number from 0 to :data:`MAX_SEED`.

    Args:
        name: Name of the option, for the error.
        value: The value given; see :func:`check_integer`.

    Returns:
        The seed, as a Python int.

    Raises:
        UserError: The value is not a seed; names the limits.
    """
    return check_integer(name, value, least=0, most=MAX_SEED)


def check_flag(name: str, value: object) -> bool:
    """Check that a value is true or false.

    Args:
        name: Name of the option, for the error.
        value: The value given: a bool of Python or NumPy.

    Returns:
        The flag, as a Python bool.

    Raises:
        UserError: The value is anything else, 0 and 1 included.
    """
    found = plain(value)
    if not isinstance(found, bool):
        raise refused(name, value, "give true or false")
    return found


def check_margin(value: object, words: tuple[str, ...]) -> float | str:
    """Check that a value is a margin: a finite number of at least 0, or one of the words.

    Args:
        value: The value given for the option ``margin``.
        words: Valid words, such as ``("soft", "none")``.

    Returns:
        The margin: a word, or a Python int or float.

    Raises:
        UserError: The value is not a margin; names the valid words.
    """
    if isinstance(value, str) and value in words:
        return str(value)
    number = as_number(value)
    if number is None or number < 0:
        raise refused("margin", value, " or ".join([wanted_number(least=0), *map(repr, words)]))
    return number


def read_sides(value: object) -> Sides | None:
    """Read the size of an image.

    Args:
        value: The side of a square, such as 224; or height and width, as a pair ``(256, 128)`` or
            as text ``"256x128"``.

    Returns:
        Height and width in pixels; None if the value is no size.
    """
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, str):
        found = [number_in(part) for part in re.split("[xX×]", value)]
    else:
        found = [
            as_number(part) for part in (value if isinstance(value, list | tuple) else [value])
        ]
    if len(found) == 1 and not isinstance(value, list | tuple):
        found *= 2
    whole = [int(each) for each in found if each is not None and each == int(each)]
    return (whole[0], whole[1]) if len(found) == len(whole) == len(SIDES) else None


def sides_of(size: ImageSize) -> Sides:
    """Return height and width of an image in pixels.

    Args:
        size: See :func:`read_sides`.

    Raises:
        UserError: It is no size.
    """
    sides = read_sides(size)
    if sides is None or min(sides) < 1:
        raise refused("image size", size, f"give a whole number, or {HEIGHT_AND_WIDTH}")
    return sides


def as_size(sides: Sides) -> int | str:
    """Return a size as settings hold it: 224 for a square, else ``"256x128"``, height first."""
    height, width = sides
    return height if height == width else f"{height}x{width}"


def pixel_count(size: ImageSize) -> int:
    """Return the number of pixels of an image: its height times its width."""
    height, width = sides_of(size)
    return height * width


def side_below(sides: Sides, least: Sides) -> str | None:
    """Name the first side that is too small, ``height`` or ``width``; None if neither is."""
    return next((n for n, a, b in zip(SIDES, sides, least, strict=True) if a < b), None)


def check_pre_crop(pre_crop: ImageSize | None, image_size: ImageSize) -> None:
    """Check that images are resized to at least the size of what is cropped from them.

    Args:
        pre_crop: Size of the resized image; None for no cropping.
        image_size: Size of the crop.

    Raises:
        UserError: The resized image would be smaller than the crop; names the side unless both
            are squares.
    """
    if pre_crop is None:
        return
    resized, cropped = sides_of(pre_crop), sides_of(image_size)
    if side := side_below(resized, cropped):
        least = as_size((max(resized[0], cropped[0]), max(resized[1], cropped[1])))
        squares = resized[0] == resized[1] and cropped[0] == cropped[1]
        where = "the image size" if squares else f"the image size {as_size(cropped)} in {side}"
        raise UserError(
            f"pre_crop = {as_size(resized)} is smaller than {where}: give {least} or more"
        )


def plain(value: object) -> object:
    """Return a NumPy scalar as the Python scalar that YAML and JSON can hold, all else as is."""
    return value.item() if isinstance(value, np.generic) else value


def check_widths(name: str, value: object) -> tuple[int, ...]:
    """Return widths of an embedding, which ascend.

    >>> check_widths("matryoshka", "32,64"), check_widths("widths", [32])
    ((32, 64), (32,))

    Args:
        name: Name of the option, for the error.
        value: Whole numbers of at least 1: one, a sequence of them, or a text with commas.

    Raises:
        UserError: They are not, or do not ascend.
    """
    given = value.split(",") if isinstance(value, str) else plain(value)
    parts = list(given) if isinstance(given, Iterable) else [given]
    numbers_given = [
        number_in(part) if isinstance(part, str) else as_number(part) for part in parts
    ]
    found = tuple(int(n) for n in numbers_given if n is not None and n == int(n) and n >= 1)
    if not parts or len(found) < len(parts):
        raise refused(name, value, "give widths of at least 1, such as 32,64")
    if any(b <= a for a, b in itertools.pairwise(found)):
        raise refused(name, value, "give ascending widths, each once")
    return found


def narrower_widths(widths: Sequence[int], embedding_size: int) -> tuple[int, ...]:
    """Return the widths of a Matryoshka loss that are below the embedding's.

    Args:
        widths: Ascending widths, at least one.
        embedding_size: Width of the embedding, which may be the last of them.

    Raises:
        UserError: A width exceeds the embedding's, or none is below it.
    """
    narrower = tuple(width for width in widths if width < embedding_size)
    if widths[-1] > embedding_size:
        raise UserError(
            f"matryoshka: width {widths[-1]} exceeds the embedding's {embedding_size}: give at "
            f"most {embedding_size}"
        )
    if not narrower:
        raise UserError(
            f"matryoshka: the embedding has width {embedding_size}: give at least one below it"
        )
    return narrower


def as_number(value: object) -> int | float | None:
    """Return a value as a Python int or float; None if it is not a finite number.

    Booleans and text are not numbers; NumPy's scalars and ``fractions.Fraction`` are.
    """
    value = plain(value)
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return None
    if isinstance(value, numbers.Integral):
        return int(value)
    return float(value) if math.isfinite(value) else None


def number_in(text: str) -> int | float | None:
    """Return the finite number that a text spells, such as ``1e-4``; None if it spells none."""
    for kind in (int, float):
        try:
            return as_number(kind(text))
        except ValueError:
            continue
    return None


def wanted_number(
    above: float | None = None,
    below: float | None = None,
    *,
    least: float | None = None,
    most: float | None = None,
    whole: bool = False,
) -> str:
    """Return the fix of a refused number, e.g. ``give a whole number of at least 1``."""
    limits = ((above, "above"), (below, "below"), (least, "of at least"), (most, "at most"))
    words = " and ".join(f"{word} {limit}" for limit, word in limits if limit is not None)
    if least is not None and most is not None:
        words = f"from {least} to {most}"
    return f"give a {'whole ' * whole}number {words}".strip()


def wanted_choice(value: object, choices: Iterable[object]) -> str:
    """Return the fix of a refused choice: the closest one first, then all of them."""
    words = [str(choice) for choice in choices]
    hint = did_you_mean(value, words) if isinstance(value, str) else ""
    return f"{hint}choose one of {', '.join(words)}"


def refused(name: str, value: object, fix: str) -> UserError:
    """Return the error of a refused value: one line, even if the value's text spans several."""
    return UserError(f"{name} = {' '.join(repr(plain(value)).split())}: {fix}")
