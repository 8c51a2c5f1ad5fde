"""Typefaces: one image per (character, font face), drawn with the fonts Matplotlib ships.

The task: find the same character in other typefaces. Class-disjoint by alphabet: trained on Latin
and symbols, tested on Greek and Cyrillic. Its failures are real homoglyphs. No download.
"""

import json
import shutil
import tempfile
import unicodedata
from pathlib import Path

from retrieval.datasets.base import Dataset
from retrieval.datasets.catalog import Catalog, make_catalog
from retrieval.datasets.glyphs import FACES, draw_face, face_characters, font_versions
from retrieval.errors import UserError, unknown_option
from retrieval.files import write_json

VERSION = 2  # of the way images are drawn and named; raise it to draw anew
LEAST_FACES = 8
TESTED = ("Greek", "Cyrillic")
SUBSETS = ("letters", "full", "sample")
LETTERS = ("Lu", "Ll", "Lt", "Lo")
N_IMAGES, N_CLASSES = 40_710, 3_293


def load(root: Path, *, subset: str = "letters") -> Catalog:
    """Load the catalog, drawing the images first if they are not there.

    Args:
        root: Folder of the drawn images.
        subset: ``letters`` (letters of the Latin, Greek and Cyrillic alphabets), ``full`` (every
            character that at least 8 faces can draw) or ``sample`` (every eighth letter, for trying
            things out).

    Returns:
        Class = character, with its code point as the label; super class = alphabet; test split:
        Greek and Cyrillic.

    Raises:
        UserError: Unknown subset.
    """
    if subset not in SUBSETS:
        raise unknown_option("subset of typefaces", subset, SUBSETS)
    index = root / subset / "index.json"
    if not index.exists() or json.loads(index.read_text()).get("made_by") != made_by():
        draw(root, subset)
    rows = json.loads(index.read_text())["rows"]
    codes = [code for code, _ in rows]
    alphabets = {code: alphabet(code) for code in set(codes)}
    names = {code: character_name(code) for code in set(codes)}
    order = sorted(set(alphabets.values()))
    return make_catalog(
        "typefaces",
        root / subset,
        path=[image_path(code, face) for code, face in rows],
        label=codes,
        label_name=[names[code] for code in codes],
        split=["test" if alphabets[code] in TESTED else "train" for code in codes],
        super_label=[order.index(alphabets[code]) for code in codes],
        super_name=[alphabets[code] for code in codes],
        options={"subset": subset},
    )


def draw(root: Path, subset: str, *, progress: bool = True) -> None:
    """Draw every image of a subset into ``root/<subset>``; whole or not at all.

    Args:
        root: Parent of the drawn folder.
        subset: One of :data:`SUBSETS`.
        progress: Show a progress bar.
    """
    from tqdm.auto import tqdm

    coverage = wanted_characters(subset)
    root.mkdir(parents=True, exist_ok=True)
    target, total = root / subset, sum(map(len, coverage.values()))
    partial = Path(tempfile.mkdtemp(prefix=f".{subset}-", dir=root))
    try:
        partial.chmod(0o755)
        for code in coverage:
            (partial / image_path(code, "")).parent.mkdir()
        inked = set()
        with tqdm(desc="drawing typefaces", total=total, unit="img", disable=not progress) as bar:
            for face in FACES:
                glyphs = [(c, faces[face]) for c, faces in coverage.items() if face in faces]
                files = {drawn_as: partial / image_path(c, face) for c, drawn_as in glyphs}
                drawn = draw_face(face, files)
                inked |= {(c, face) for c, drawn_as in glyphs if drawn_as in drawn}
                bar.update(len(glyphs))
        rows = [(code, face) for code, faces in coverage.items() for face in faces]
        rows = [row for row in rows if row in inked]
        write_json(partial / "index.json", {"made_by": made_by(), "rows": rows})
        if target.exists():
            shutil.rmtree(target)
        partial.replace(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def wanted_characters(subset: str) -> dict[int, dict[str, int]]:
    """Return, for each character at least 8 faces can draw, those faces and the code they use.

    Args:
        subset: One of :data:`SUBSETS`, see :func:`load`.

    Returns:
        Code point -> {face: code point in that face's own character map}, sorted.
    """
    found: dict[int, dict[str, int]] = {}
    for face in FACES:
        for code, drawn_as in face_characters(face).items():
            found.setdefault(code, {})[face] = drawn_as
    codes = [
        code
        for code, faces in sorted(found.items())
        if len(faces) >= LEAST_FACES and (subset == "full" or is_letter(code))
    ]
    return {code: found[code] for code in (codes[::8] if subset == "sample" else codes)}


def alphabet(code: int) -> str:
    """Return a character's script, e.g. ``Greek``; ``Symbols`` where it belongs to none.

    A symbol that Unicode decomposes into a letter (a micro sign, a bold italic alpha) counts as
    that letter's script, so that no Greek shape is trained on.
    """
    from fontTools.unicodedata import script, script_name

    base = unicodedata.normalize("NFKD", chr(code))
    scripts = [script_name(script(character)) for character in (chr(code), *base)]
    for name in TESTED:
        if name in scripts:
            return name
    return {"Common": "Symbols", "Inherited": "Combining marks"}.get(scripts[0], scripts[0])


def is_letter(code: int) -> bool:
    """Tell whether a character is a letter of the Latin, Greek or Cyrillic alphabet."""
    kind = unicodedata.category(chr(code))
    return kind in LETTERS and alphabet(code) in ("Latin", *TESTED)


def character_name(code: int) -> str:
    """Return e.g. ``Ж U+0416 CYRILLIC CAPITAL LETTER ZHE``."""
    return f"{chr(code)} U+{code:04X} {unicodedata.name(chr(code), 'unnamed')}"


def image_path(code: int, face: str) -> str:
    """Return an image's path below the subset's folder, e.g. ``U+0416/DejaVuSans-Bold.png``."""
    return f"U+{code:04X}/{face}.png"


def made_by() -> str:
    """Say what the pixels depend on: another fonts or Pillow version draws anew."""
    return f"typefaces {VERSION}, {font_versions()}"


def fetch(root: Path, archive: Path | None = None) -> None:
    """Draw every subset; nothing is downloaded.

    Args:
        root: Folder of the drawn images.
        archive: Must be None.

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
    mirror=False,
    needs_files=False,
)
