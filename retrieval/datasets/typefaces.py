"""Typefaces: one image per (character, font face), drawn with the fonts Matplotlib ships.

The task: find the same character in other typefaces. Class-disjoint by alphabet: trained on Latin
and symbols, tested on Greek and Cyrillic. Its failures are real homoglyphs. No download.
"""

import json
import logging
import os
import shutil
import unicodedata
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import matplotlib
from fontTools import agl
from fontTools.ttLib import TTFont
from fontTools.unicodedata import script
from PIL import Image, ImageDraw, ImageFont
from tqdm.auto import tqdm

from retrieval.datasets.catalog import Catalog, make_catalog
from retrieval.errors import UserError
from retrieval.files import write_json

VERSION = 1
SIDE = 64
LEAST_FACES = 8
TESTED = ("Grek", "Cyrl")
SUBSETS = ("letters", "full")
# Computer Modern's files keep TeX's own encodings: these glyph names say which character is drawn.
TEX_NAMES = {"Delta": 0x394, "Omega": 0x3A9, "mu": 0x3BC}
FACES = (
    [
        f"DejaVu{family}{style}"
        for family in ("Sans", "SansMono")
        for style in ("", "-Bold", "-Oblique", "-BoldOblique")
    ]
    + [f"DejaVuSerif{style}" for style in ("", "-Bold", "-Italic", "-BoldItalic")]
    + ["STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "STIXGeneralBolIta"]
    + ["cmr10", "cmb10", "cmmi10", "cmss10", "cmtt10", "cmsy10"]
)


def load(root: Path, *, subset: str = "letters") -> Catalog:
    """Load the catalogue, drawing the images first if they are not there.

    Args:
        root: Folder of the drawn images.
        subset: ``letters`` (letters of the Latin, Greek and Cyrillic alphabets) or ``full``.

    Returns:
        Class = character, super-class = alphabet; test split: Greek and Cyrillic.

    Raises:
        UserError: Unknown subset.
    """
    if subset not in SUBSETS:
        raise UserError(f"typefaces: subset {subset!r}: valid: {', '.join(SUBSETS)}")
    index = root / subset / "index.json"
    if not index.exists() or json.loads(index.read_text())["version"] != VERSION:
        draw(root, subset)
    rows = json.loads(index.read_text())["rows"]
    codes = [row[0] for row in rows]
    scripts = [row[2] for row in rows]
    alphabets = sorted(set(scripts))
    return make_catalog(
        "typefaces",
        root / subset,
        path=[f"{code:05x}/{face}.png" for code, face, _ in rows],
        label=codes,
        label_name=[character_name(code) for code in codes],
        split=["test" if script in TESTED else "train" for script in scripts],
        super_label=[alphabets.index(script) for script in scripts],
        super_name=scripts,
        options={"subset": subset},
    )


def draw(root: Path, subset: str) -> None:
    """Draw every image of a subset into ``root/<subset>``; whole or not at all.

    Args:
        root: Parent of the drawn folder.
        subset: ``letters`` or ``full``.
    """
    coverage = wanted_characters(subset)
    temporary = root / f".{subset}-{os.getpid()}"
    shutil.rmtree(temporary, ignore_errors=True)
    for code in coverage:
        (temporary / f"{code:05x}").mkdir(parents=True)
    by_face: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for code, faces in coverage.items():
        for face, drawn_as in faces.items():
            by_face[face].append((code, drawn_as))
    with ProcessPoolExecutor() as pool:
        jobs = [pool.submit(draw_face, face, pairs, temporary) for face, pairs in by_face.items()]
        done = tqdm(as_completed(jobs), "drawing typefaces", len(jobs), unit="face", leave=False)
        inked = {face for job in done for face in job.result()}
    rows = [
        (code, face, script(chr(code)))
        for code, faces in coverage.items()
        for face in faces
        if (code, face) in inked
    ]
    write_json(temporary / "index.json", {"version": VERSION, "rows": rows})
    shutil.rmtree(root / subset, ignore_errors=True)
    os.replace(temporary, root / subset)


def wanted_characters(subset: str) -> dict[int, dict[str, int]]:
    """Return, for each character at least 8 faces can draw, those faces and the code they use.

    Args:
        subset: ``letters`` keeps letters of the Latin, Greek and Cyrillic alphabets.

    Returns:
        Code point -> {face: code point in that face's own character map}, sorted.
    """
    found: dict[int, dict[str, int]] = defaultdict(dict)
    for face in FACES:
        for code, drawn_as in face_characters(face).items():
            if subset == "full" or is_letter(code):
                found[code][face] = drawn_as
    return {code: faces for code, faces in sorted(found.items()) if len(faces) >= LEAST_FACES}


def face_characters(face: str) -> dict[int, int]:
    """Return {Unicode code point: code point in the face's cmap} of all visible glyphs."""
    logging.getLogger("fontTools").setLevel(logging.ERROR)  # it warns of old time stamps
    with TTFont(face_path(face)) as font:
        glyphs, characters = font["glyf"], {}
        for drawn_as, name in font.getBestCmap().items():
            code = tex_character(name) if face.startswith("cm") else drawn_as
            visible = name != ".notdef" and glyphs[name].numberOfContours != 0
            if code is not None and visible and unicodedata.category(chr(code))[0] not in "CZ":
                characters[code] = drawn_as
    return characters


def tex_character(name: str) -> int | None:
    """Return the character a Computer Modern glyph name stands for, None if none for sure."""
    if name in TEX_NAMES:
        return TEX_NAMES[name]
    text = agl.toUnicode(name)
    return ord(text) if len(text) == 1 and not name.endswith("1") else None


def is_letter(code: int) -> bool:
    """Tell whether a character is a letter of the Latin, Greek or Cyrillic alphabet."""
    character = chr(code)
    return unicodedata.category(character) in ("Lu", "Ll", "Lt", "Lo") and script(character) in (
        "Latn",
        *TESTED,
    )


def character_name(code: int) -> str:
    """Return e.g. ``Ж U+0416 CYRILLIC CAPITAL LETTER ZHE``."""
    return f"{chr(code)} U+{code:04X} {unicodedata.name(chr(code), 'unnamed')}"


def face_path(face: str) -> Path:
    """Return the font file of a face inside the installed Matplotlib."""
    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{face}.ttf"


def draw_face(face: str, pairs: list[tuple[int, int]], folder: Path) -> list[tuple[int, str]]:
    """Draw characters of one face as 64 px PNG files, black on white, on a common baseline.

    Args:
        face: A name in :data:`FACES`.
        pairs: (code point, code point in the face) of each character.
        folder: Files go to ``<folder>/<code point in hex>/<face>.png``.

    Returns:
        The (code point, face) pairs that left ink on the page.
    """
    sizes = {size: ImageFont.truetype(str(face_path(face)), size) for size in (40, 30, 20, 12)}
    inked = []
    for code, drawn_as in pairs:
        image = Image.new("L", (SIDE, SIDE), 255)
        pen = ImageDraw.Draw(image)
        for font in sizes.values():  # the largest size that fits
            box = pen.textbbox((SIDE / 2, 46), chr(drawn_as), font=font, anchor="ms")
            if box[0] >= 1 and box[1] >= 1 and box[2] <= SIDE - 1 and box[3] <= SIDE - 1:
                break
        pen.text((SIDE / 2, 46), chr(drawn_as), 0, font=font, anchor="ms")
        if image.getextrema()[0] < 128:
            image.save(folder / f"{code:05x}" / f"{face}.png")
            inked.append((code, face))
    return inked


def fetch(root: Path, archive: Path | None = None) -> None:
    """Draw the full data set; nothing is downloaded.

    Raises:
        UserError: An archive was given.
    """
    if archive is not None:
        raise UserError("typefaces is drawn here; it takes no --archive")
    for subset in SUBSETS:
        draw(root, subset)
