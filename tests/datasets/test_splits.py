import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.datasets.splits import parse_classes, split_classes
from retrieval.errors import UserError

NAMES = st.lists(st.text("abcdefgh", min_size=1), min_size=2, max_size=30, unique=True)


@given(NAMES, st.floats(0.01, 0.99), st.integers(0, 5))
def test_every_class_is_on_one_side_and_no_side_is_empty(names, fraction, seed):
    sides = split_classes(names, test_fraction=fraction, split_seed=seed)
    assert set(sides) == set(names)
    assert set(sides.values()) == {"train", "test"}
    n_test = list(sides.values()).count("test")
    assert abs(n_test - fraction * len(names)) <= 1


@given(NAMES, st.randoms())
def test_the_split_does_not_depend_on_the_order_of_the_classes(names, random):
    shuffled = names * 2
    random.shuffle(shuffled)
    assert split_classes(names) == split_classes(shuffled)


def test_another_seed_splits_otherwise():
    names = [f"class {n}" for n in range(20)]
    assert split_classes(names, split_seed=0) != split_classes(names, split_seed=1)


def test_one_list_leaves_the_rest_to_the_other_side():
    expected = {"a": "train", "b": "test", "c": "test"}
    assert split_classes("abc", train_classes=["a"]) == expected
    assert split_classes("abc", test_classes="b, c") == expected


def test_classes_in_neither_of_two_lists_are_left_out():
    assert split_classes("abc", train_classes="a", test_classes="b") == {"a": "train", "b": "test"}


def test_lists_come_from_text_files_and_numbers_too(tmp_path):
    (tmp_path / "classes.txt").write_text("\ufeffred shoe\n\n blue shoe \n", encoding="utf-8")
    assert parse_classes("x", f"@{tmp_path}/classes.txt") == ["red shoe", "blue shoe"]
    assert parse_classes("x", 7) == ["7"]
    assert parse_classes("x", [1, "b"]) == ["1", "b"]


@pytest.mark.parametrize(
    ("names", "options", "words"),
    [
        ("abc", {"test_fraction": 0}, "test_fraction = 0: give a number between 0 and 1"),
        ("abc", {"test_fraction": 1.5}, "test_fraction = 1.5"),
        ("a", {}, "1 class found: a class-disjoint split needs at least 2"),
        ("abc", {"train_classes": "a,b", "test_classes": "b"}, "'b' is in both"),
        (["apple", "pear"], {"test_classes": "aple"}, "'aple': did you mean 'apple'"),
        ("abc", {"train_classes": "a,b,c"}, "the test side of the split has no classes"),
        ("abc", {"train_classes": "@nowhere.txt"}, "train_classes: no file nowhere.txt"),
    ],
)
def test_a_bad_split_is_refused_in_one_line(names, options, words):
    with pytest.raises(UserError, match=words) as error:
        split_classes(names, **options)
    assert "\n" not in str(error.value)


def test_a_list_of_classes_that_is_not_utf8_is_refused(tmp_path):
    (tmp_path / "classes.txt").write_bytes("hat\ncafé\n".encode("cp1252"))
    with pytest.raises(UserError, match=r"classes\.txt row 2: not UTF-8"):
        parse_classes("x", f"@{tmp_path}/classes.txt")
    (tmp_path / "classes.txt").write_bytes("hat\ncafé\n".encode("utf-16"))
    assert parse_classes("x", f"@{tmp_path}/classes.txt") == ["hat", "café"]
