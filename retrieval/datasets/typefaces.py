"""Typefaces: one image per character and font face, drawn with the fonts that Matplotlib ships.

The task is to find the same character in other typefaces. The split is class-disjoint by alphabet:
Latin and symbols are the training split, Greek and Cyrillic the test split. The characters
that a model confuses are real homoglyphs. Nothing is downloaded.
"""

import functools
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from retrieval.datasets.base import Dataset
from retrieval.datasets.catalog import Catalog, make_catalog
from retrieval.datasets.drawn import draw_once
from retrieval.datasets.glyphs import FACES, draw_face, face_characters, font_versions
from retrieval.datasets.homoglyphs import GROUP_OF
from retrieval.errors import UserError, unknown_option

VERSION = 4  # of how images are drawn and named; raise it to have them drawn again
MIN_FACES = 8
TEST_ALPHABETS = ("Greek", "Cyrillic")
SUBSETS = ("letters", "full", "sample")
LETTERS = ("Lu", "Ll", "Lt", "Lo")
N_IMAGES, N_CLASSES = 38_002, 3_100


def load(root: Path, *, subset: str = "letters") -> Catalog:
    """Load the catalog; the images are drawn on first use.

    Args:
        root: Folder of the drawn images.
        subset: Characters to draw: ``letters`` (letters of the Latin, Greek and Cyrillic
            alphabets), ``full`` (every character in at least 8 font faces) or ``sample`` (every
            eighth letter, for quick tries). Defaults to ``letters``.

    Returns:
        The catalog. Each character is a class, labeled by its code point; characters that are
        drawn alike are one class, see :func:`shape` and :func:`without_copies`. Alphabets are super
        classes; Greek and Cyrillic are the test split.

    Raises:
        UserError: The subset is unknown, or its folder holds other files.
    """
    if subset not in SUBSETS:
        raise unknown_option("subset of typefaces", subset, SUBSETS)
    files = drawn_files(root, subset)
    rows = without_copies((code_of(file), face_of(file)) for file in files)
    codes = [shape(code) for code, _ in rows]
    alphabets = {code: alphabet(code) for code in set(codes)}
    names = {code: character_name(code) for code in set(codes)}
    order = sorted(set(alphabets.values()))
    return make_catalog(
        "typefaces",
        root / subset,
        path=[image_path(code, face) for code, face in rows],
        label=codes,
        label_name=[names[code] for code in codes],
        split=["test" if alphabets[code] in TEST_ALPHABETS else "train" for code in codes],
        super_label=[order.index(alphabets[code]) for code in codes],
        super_name=[alphabets[code] for code in codes],
        options={"subset": subset},
    )


def drawn_files(root: Path, subset: str) -> list[str]:
    """Draw every image of a subset into ``root/<subset>``, unless this version has drawn it.

    Args:
        root: Parent of the folder to draw.
        subset: One of :data:`SUBSETS`.

    Returns:
        The paths of the images below the subset's folder, sorted by code point.

    Raises:
        UserError: The folder holds files that this program has not made.
    """
    return draw_once(
        root / subset,
        made_by(),
        lambda folder: draw(folder, subset),
        drawn_before=lambda mark: [image_path(code, face) for code, face in mark.get("rows", [])],
    )


def draw(folder: Path, subset: str, *, progress: bool = True) -> list[str]:
    """Draw every image of a subset.

    Args:
        folder: The folder to draw into, empty.
        subset: One of :data:`SUBSETS`.
        progress: Whether to show a progress bar. Defaults to True.

    Returns:
        The paths of the images below the folder, sorted by code point.
    """
    from tqdm.auto import tqdm

    coverage = wanted_characters(subset)
    for code in coverage:
        (folder / image_path(code, "")).parent.mkdir()
    inked: set[tuple[int, str]] = set()
    total = sum(map(len, coverage.values()))
    with tqdm(desc="drawing typefaces", total=total, unit="img", disable=not progress) as bar:
        for face in FACES:
            glyphs = [(c, faces[face]) for c, faces in coverage.items() if face in faces]
            files = {drawn_as: folder / image_path(c, face) for c, drawn_as in glyphs}
            drawn = draw_face(face, files)
            inked |= {(c, face) for c, drawn_as in glyphs if drawn_as in drawn}
            bar.update(len(glyphs))
    rows = [(code, face) for code, faces in coverage.items() for face in faces]
    return without_equal_files(
        folder, [image_path(code, face) for code, face in rows if (code, face) in inked]
    )


def without_equal_files(folder: Path, files: list[str]) -> list[str]:
    """Remove images that repeat one of another class, or one of the test split, pixel for pixel.

    Some faces share the drawing of characters that most faces tell apart, and a copy of a training
    image in the test split would be no test of an unseen class. A training class may hold copies:
    the lines of box drawings are the same in many faces.

    Args:
        folder: The folder of the images.
        files: Paths of the images below the folder.

    Returns:
        The paths that are left, in the same order, of classes with two images or more.
    """
    codes = {file: code_of(file) for file in files}
    shapes = {code: shape(code) for code in set(codes.values())}
    tested = {code for code in shapes if alphabet(code) in TEST_ALPHABETS}
    class_of: dict[bytes, int] = {}
    members: dict[int, list[str]] = {}
    for file in sorted(files, key=lambda file: codes[file] in tested):  # training images stay
        content, label = (folder / file).read_bytes(), shapes[codes[file]]
        if content not in class_of or (class_of[content] == label and codes[file] not in tested):
            class_of.setdefault(content, label)
            members.setdefault(label, []).append(file)
    kept = {file for group in members.values() if len(group) > 1 for file in group}
    for file in set(files) - kept:
        (folder / file).unlink()
    return [file for file in files if file in kept]


def wanted_characters(subset: str) -> dict[int, dict[str, int]]:
    """Return the characters of a subset, with the faces that can draw each.

    Args:
        subset: One of :data:`SUBSETS`, see :func:`load`.

    Returns:
        Code point -> {face: code point in that face's own character map}, sorted by code point.
        Every character is in at least 8 faces.
    """
    found: dict[int, dict[str, int]] = {}
    for face in FACES:
        for code, drawn_as in face_characters(face).items():
            found.setdefault(code, {})[face] = drawn_as
    codes = [
        code
        for code, faces in sorted(found.items())
        if len(faces) >= MIN_FACES and (subset == "full" or is_letter(code))
    ]
    return {code: found[code] for code in (codes[::8] if subset == "sample" else codes)}


@functools.cache  # asked for every image: without it, loading takes 4 seconds more
def alphabet(code: int) -> str:
    """Return a character's script, e.g. ``Greek``, or ``Symbols`` if it belongs to none.

    A symbol that Unicode decomposes into a letter (a micro sign, a bold italic alpha) belongs to
    that letter's script, so that no Greek shape is in the training split.
    """
    from fontTools.unicodedata import script, script_name

    base = unicodedata.normalize("NFKD", chr(code))
    scripts = [script_name(script(character)) for character in (chr(code), *base)]
    for name in TEST_ALPHABETS:
        if name in scripts:
            return name
    return {"Common": "Symbols", "Inherited": "Combining marks"}.get(scripts[0], scripts[0])


@functools.cache
def shape(code: int) -> int:
    """Return the character whose class a character belongs to.

    Args:
        code: Code point of the character.

    Returns:
        The first of those in the same split that are drawn alike, letters before what Unicode
        decomposes into them (a mu before the micro sign); mostly the character itself.
    """

    def place(other: int) -> tuple[bool, int]:
        return unicodedata.normalize("NFKC", chr(other)) != chr(other), other

    split = alphabet(code) in TEST_ALPHABETS
    same = (c for c in GROUP_OF.get(code, (code,)) if (alphabet(c) in TEST_ALPHABETS) == split)
    return min(same, key=place)


def without_copies(rows: Iterable[tuple[int, str]]) -> list[tuple[int, str]]:
    """Leave out images that repeat another one, as a Greek Alpha repeats a Latin A.

    Args:
        rows: Code point and face of each image.

    Returns:
        The rows without test characters that are drawn like a character of the training split,
        which would be no test of unseen classes, and with one image per class and face.
    """
    kept: dict[tuple[int, str], tuple[int, str]] = {}
    for code, face in rows:
        alphabets = {alphabet(other) for other in GROUP_OF.get(code, (code,))}
        if alphabet(code) not in TEST_ALPHABETS or alphabets <= set(TEST_ALPHABETS):
            kept.setdefault((shape(code), face), (code, face))
    return list(kept.values())


def is_letter(code: int) -> bool:
    """Tell whether a character is a letter of the Latin, Greek or Cyrillic alphabet."""
    kind = unicodedata.category(chr(code))
    return kind in LETTERS and alphabet(code) in ("Latin", *TEST_ALPHABETS)


def character_name(code: int) -> str:
    """Return a character's readable name, e.g. ``Ж U+0416 CYRILLIC CAPITAL LETTER ZHE``."""
    return f"{chr(code)} U+{code:04X} {unicodedata.name(chr(code), 'unnamed')}"


def image_path(code: int, face: str) -> str:
    """Return an image's path below the subset's folder, e.g. ``U+0416/DejaVuSans-Bold.png``."""
    return f"U+{code:04X}/{face}.png"


def code_of(path: str) -> int:
    """Return the code point of an image, given its path below the subset's folder."""
    return int(path[2 : path.index("/")], 16)


def face_of(path: str) -> str:
    """Return the face of an image, given its path below the subset's folder."""
    return path[path.index("/") + 1 :].removesuffix(".png")


def made_by() -> str:
    """Return what the pixels depend on; images made by other versions are drawn again."""
    return f"typefaces {VERSION}, {font_versions()}"


def fetch(root: Path, archive: Path | None = None, *, repair: bool = False) -> None:
    """Draw every subset; nothing is downloaded.

    Args:
        root: Folder of the drawn images.
        archive: Must be None: there is no archive.
        repair: Without effect: what is missing is drawn again in any case. Defaults to False.

    Raises:
        UserError: An archive was given.
    """
    if archive is not None:
        raise UserError("typefaces is drawn here and takes no --archive")
    for subset in SUBSETS:
        load(root, subset=subset)


ENTRY = Dataset(
    name="typefaces",
    title="Typefaces (embedded)",
    load=load,
    fetch=fetch,
    how_to_get="nothing to do: drawn on first use",
    license="fonts: Bitstream Vera, STIX OFL, BaKoMa",
    source="fonts shipped in Matplotlib",
    n_images=N_IMAGES,
    n_classes=N_CLASSES,
    splits="Latin and symbols train, Greek and Cyrillic test",
    needs=("letters/index.json",),
    flip=False,
    needs_files=False,
)
