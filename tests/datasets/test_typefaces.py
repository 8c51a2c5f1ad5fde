import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from retrieval.datasets import DATASETS, glyphs, load_catalog, typefaces
from retrieval.datasets.glyphs import FACES, face_characters, glyph_image, tex_character
from retrieval.datasets.typefaces import alphabet, character_name, is_letter, wanted_characters
from retrieval.errors import UserError
from tests.datasets.helpers import below


@pytest.fixture(scope="module")
def full():
    return wanted_characters("full")


@pytest.fixture
def few(monkeypatch, full):
    """Draw five characters only."""
    chosen = {code: full[code] for code in map(ord, "AbЖΩµ")}
    monkeypatch.setattr(typefaces, "wanted_characters", lambda subset: chosen)
    return chosen


def test_the_full_set_is_what_is_left_of_all_characters(full):
    rows = [(code, face) for code, faces in full.items() for face in faces]
    assert (len(full), len(rows)) == (3293, 40710)
    left = typefaces.without_copies(rows)
    # More images are left out when they are drawn: see the next tests.
    assert DATASETS["typefaces"].n_images == 38_002 < len(left)
    assert DATASETS["typefaces"].n_classes == 3_100 <= len({typefaces.shape(c) for c, _ in left})


def test_every_character_has_at_least_eight_faces_and_is_one_to_look_at(full):
    assert min(map(len, full.values())) >= 8
    assert {unicodedata.category(chr(code))[0] for code in full} <= set("LMNPS")


def test_letters_are_the_letters_of_three_alphabets(full):
    letters = {code: faces for code, faces in full.items() if is_letter(code)}
    assert wanted_characters("letters") == letters
    assert {alphabet(code) for code in letters} == {"Latin", "Greek", "Cyrillic"}
    assert 1400 < len(letters) < 1600


def test_no_greek_or_cyrillic_shape_is_trained_on(full):
    for code in full:
        if alphabet(code) in ("Greek", "Cyrillic"):
            continue
        name = unicodedata.name(chr(code))
        letters = unicodedata.normalize("NFKD", chr(code))
        assert not any("GREEK" in unicodedata.name(c) for c in letters), name
        assert not any("CYRILLIC" in unicodedata.name(c) for c in letters), name


@pytest.mark.parametrize(
    ("character", "expected"),
    [
        ("a", "Latin"),
        ("Ω", "Greek"),
        ("\u00b5", "Greek"),  # micro sign: a mu
        ("\u2126", "Greek"),  # ohm sign: an omega
        ("Ж", "Cyrillic"),
        ("+", "Symbols"),
        ("\u2801", "Braille"),
        ("\u0301", "Combining marks"),
    ],
)
def test_alphabets(character, expected):
    assert alphabet(ord(character)) == expected


@pytest.mark.parametrize(
    ("glyph", "character"),
    [
        ("A", "A"),
        ("alpha", "α"),
        ("Delta", "Δ"),
        ("Omega", "Ω"),
        ("germandbls", "ß"),
        ("infinity", "∞"),
        ("zerooldstyle", "\uf730"),  # private use: left out by its category
        ("phi1", None),  # TeX and Adobe mean opposite shapes
        ("parenleftBigg", None),
    ],
)
def test_computer_modern_glyphs_are_read_by_name(glyph, character):
    assert tex_character(glyph) == (None if character is None else ord(character))


def test_computer_modern_does_not_pass_its_tex_positions_off_as_unicode():
    # cmmi10 has an alpha at U+00AE, cmsy10 an infinity at the digit 1, cmr10 a Gamma at U+00A1.
    italic, symbols, roman = (face_characters(face) for face in ("cmmi10", "cmsy10", "cmr10"))
    assert ord("®") not in italic
    assert italic[ord("α")] == 0xAE
    assert ord("1") not in symbols
    assert symbols[ord("∞")] == ord("1")
    assert roman[ord("Γ")] == 0xA1
    assert roman[ord("A")] == ord("A")


def test_spaces_and_the_last_resort_font_are_left_out():
    assert all("LastResort" not in face for face in FACES)
    assert ord(" ") not in face_characters("DejaVuSans")
    assert 0x2003 not in face_characters("DejaVuSans")  # em space: a glyph without outline


def test_no_test_image_repeats_another_and_no_class_one_of_another(full, monkeypatch, tmp_path):
    # Alpha and the Cyrillic A repeat A in every face, K and n are repeated in some.
    chosen = {code: full[code] for code in map(ord, "AKnΑАКпЖμµ")}
    monkeypatch.setattr(typefaces, "wanted_characters", lambda subset: chosen)
    catalog = load_catalog("typefaces", tmp_path)
    assert set(catalog.items["label"]) == set(map(ord, "AKnКпЖμ"))
    classes: dict[bytes, set[int]] = {}
    for path, label in zip(catalog.absolute_paths(), catalog.items["label"], strict=True):
        classes.setdefault(Path(path).read_bytes(), set()).add(label)
    assert all(len(labels) == 1 for labels in classes.values())
    test = [Path(path).read_bytes() for path in catalog.absolute_paths(catalog.split("test"))]
    assert len(set(test)) == len(test)
    assert len(catalog.items[catalog.items["label"] == ord("К")]) < len(full[ord("К")])


def test_drawn_images_are_gray_64_px_and_different_between_faces(full, few, tmp_path):
    catalog = load_catalog("typefaces", tmp_path / "drawn")
    assert len(catalog) == sum(map(len, few.values()))
    images = {}
    for path in catalog.items["path"]:
        with Image.open(catalog.root / path) as image:
            assert (image.size, image.mode) == ((64, 64), "L")
            images[path] = np.asarray(image)
            assert images[path].min() < 128  # ink
    assert not np.array_equal(images["U+0416/DejaVuSans.png"], images["U+0416/DejaVuSerif.png"])


def test_the_catalog_splits_by_alphabet(few, tmp_path):
    items = load_catalog("typefaces", tmp_path / "drawn").items
    assert set(items.loc[items["split"] == "train", "label_name"]) == {
        "A U+0041 LATIN CAPITAL LETTER A",
        "b U+0062 LATIN SMALL LETTER B",
    }
    zhe = items[items["label"] == ord("Ж")]
    assert set(zhe["label_name"]) == {"Ж U+0416 CYRILLIC CAPITAL LETTER ZHE"}
    assert set(zhe["super_name"]) == {"Cyrillic"}
    assert items.groupby("super_name")["super_label"].nunique().eq(1).all()


def test_drawing_is_deterministic_and_done_once(few, tmp_path, monkeypatch):
    first, second = (load_catalog("typefaces", tmp_path / name) for name in ("one", "two"))
    for a, b in zip(first.absolute_paths(), second.absolute_paths(), strict=True):
        with open(a, "rb") as one, open(b, "rb") as two:
            assert one.read() == two.read()
    monkeypatch.setattr(typefaces, "draw", lambda *_: pytest.fail("drawn again"))
    load_catalog("typefaces", tmp_path / "one")


def test_other_fonts_draw_anew(few, tmp_path, monkeypatch):
    load_catalog("typefaces", tmp_path / "drawn")
    monkeypatch.setattr(typefaces, "font_versions", lambda: "matplotlib 99")
    load_catalog("typefaces", tmp_path / "drawn")
    index = json.loads((tmp_path / "drawn/letters/index.json").read_text())
    assert index["made_by"].endswith("matplotlib 99")


def test_a_set_drawn_by_an_older_version_is_drawn_anew(few, tmp_path):
    folder = tmp_path / "drawn/letters"
    (folder / "U+0041").mkdir(parents=True)
    (folder / "U+0041/DejaVuSans.png").write_bytes(b"before")
    mark = {"made_by": "typefaces 1, matplotlib 3", "rows": [[0x41, "DejaVuSans"]]}
    (folder / "index.json").write_text(json.dumps(mark))
    assert len(load_catalog("typefaces", tmp_path / "drawn")) == sum(map(len, few.values()))


def test_interrupted_drawing_leaves_nothing_and_loses_nothing(few, tmp_path, monkeypatch):
    root = tmp_path / "drawn"
    load_catalog("typefaces", root)
    before = below(root)
    monkeypatch.setattr(typefaces, "font_versions", lambda: "matplotlib 99")

    def interrupt(face, files):
        raise KeyboardInterrupt

    monkeypatch.setattr(typefaces, "draw_face", interrupt)
    with pytest.raises(KeyboardInterrupt):
        load_catalog("typefaces", root)
    assert below(root) == before


def test_a_glyph_too_wide_for_the_page_is_shrunk_into_it():
    fonts = {}
    path = str(glyphs.face_path("DejaVuSans-Bold"))
    wide = np.asarray(glyph_image(path, "\u2a0c", fonts))  # quadruple integral
    edge = np.concatenate([wide[0], wide[-1], wide[:, 0], wide[:, -1]])
    assert edge.min() == 255
    assert min(fonts) < glyphs.SIZE
    assert glyph_image(path, " ", fonts) is None


def test_unknown_subset_and_archive_are_refused(tmp_path):
    with pytest.raises(UserError, match="'letters'"):
        load_catalog("typefaces", tmp_path, subset="leters")
    with pytest.raises(UserError, match="--archive"):
        typefaces.fetch(tmp_path, tmp_path / "x.zip")


def test_names_read_well():
    assert character_name(0x416) == "Ж U+0416 CYRILLIC CAPITAL LETTER ZHE"


def test_characters_of_one_split_that_are_drawn_alike_are_one_class():
    micro, mu, latin_a, alpha, cyrillic_a = map(ord, "µμAΑА")
    assert typefaces.shape(micro) == typefaces.shape(mu) == mu
    assert typefaces.shape(alpha) == typefaces.shape(cyrillic_a) != typefaces.shape(latin_a)
    assert typefaces.shape(ord("Ж")) == ord("Ж")
