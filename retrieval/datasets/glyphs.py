"""Find and draw the characters of a font face, for the typefaces data set."""

import logging
import unicodedata
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

SIDE = 64
SIZE, BASELINE, EDGE = 40, 46, 2  # pixels: font size, baseline from the top, smallest margin
FACES = (
    *(
        f"DejaVu{family}{style}"
        for family in ("Sans", "SansMono")
        for style in ("", "-Bold", "-Oblique", "-BoldOblique")
    ),
    *(f"DejaVuSerif{style}" for style in ("", "-Bold", "-Italic", "-BoldItalic")),
    *(f"STIXGeneral{style}" for style in ("", "Bol", "Italic", "BolIta")),
    *(f"cm{style}10" for style in ("r", "b", "ti", "ss", "tt", "mi", "sy")),
)
# Computer Modern's files put glyphs at TeX's positions (an alpha where Unicode has a registered
# sign), so their glyph names say what is drawn. Three names mean Greek letters there, while the
# Adobe list reads them as symbols.
GREEK_IN_TEX = {"Delta": 0x394, "Omega": 0x3A9, "mu": 0x3BC}


def face_path(face: str) -> Path:
    """Return the font file of a face inside the installed Matplotlib."""
    import matplotlib

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{face}.ttf"


def font_versions() -> str:
    """Name the packages that the drawn pixels depend on, with versions."""
    from importlib.metadata import version

    return f"matplotlib {version('matplotlib')}, pillow {version('pillow')}"


def face_characters(face: str) -> dict[int, int]:
    """Read a face's character map, without blanks, ``.notdef`` and non-characters.

    Args:
        face: A name in :data:`FACES`.

    Returns:
        Unicode code point -> code point to draw it with (they differ in Computer Modern).
    """
    from fontTools.ttLib import TTFont

    logging.getLogger("fontTools").setLevel(logging.ERROR)  # it warns about old time stamps
    characters: dict[int, int] = {}
    with TTFont(face_path(face), lazy=True) as font:
        outlines = font["glyf"]
        for drawn_as, glyph in font.getBestCmap().items():
            if glyph == ".notdef" or outlines[glyph].numberOfContours == 0:
                continue
            code = tex_character(glyph) if face.startswith("cm") else drawn_as
            if code is not None and unicodedata.category(chr(code))[0] not in "CZ":
                characters[code] = drawn_as
    return characters


def tex_character(glyph: str) -> int | None:
    """Return the character that a Computer Modern glyph name stands for, or None if unclear."""
    from fontTools import agl

    if glyph in GREEK_IN_TEX:
        return GREEK_IN_TEX[glyph]
    text = agl.toUnicode(glyph)
    # Names that end in 1 are variants, which TeX and Adobe assign the opposite way round.
    return ord(text) if len(text) == 1 and not glyph.endswith("1") else None


def draw_face(face: str, files: dict[int, Path]) -> set[int]:
    """Draw characters of one face as gray 64 px PNG files, black on white.

    Args:
        face: A name in :data:`FACES`.
        files: Code point in the face's own character map -> file to write.

    Returns:
        The code points that left ink. The others have no file.
    """
    path = str(face_path(face))
    inked: set[int] = set()
    fonts: dict[int, ImageFont.FreeTypeFont] = {}
    for code, file in files.items():
        image = glyph_image(path, chr(code), fonts)
        if image is not None:
            image.save(file, compress_level=1)
            inked.add(code)
    return inked


def glyph_image(
    path: str, text: str, fonts: dict[int, ImageFont.FreeTypeFont]
) -> Image.Image | None:
    """Draw one character on the common baseline, centered horizontally and shrunk only to fit.

    Args:
        path: The font file to draw with.
        text: The character to draw.
        fonts: Opened fonts by size. Sizes that are missing are added.

    Returns:
        An image of mode ``L``, 64 x 64 pixels, or None if nothing was drawn.
    """
    room = SIDE - 2 * EDGE
    size = SIZE
    while True:
        if size not in fonts:
            basic = ImageFont.Layout.BASIC  # the same pixels with and without libraqm
            fonts[size] = ImageFont.truetype(path, size, layout_engine=basic)
        left, top, right, bottom = fonts[size].getbbox(text, anchor="ls")
        if max(right - left, bottom - top) <= room or size <= 8:
            break
        size -= 4
    x = SIDE / 2 - (left + right) / 2
    y = min(max(BASELINE, EDGE - top), SIDE - EDGE - bottom)
    image = Image.new("L", (SIDE, SIDE), 255)
    ImageDraw.Draw(image).text((round(x), y), text, fill=0, font=fonts[size], anchor="ls")
    return image if any(image.histogram()[:128]) else None
