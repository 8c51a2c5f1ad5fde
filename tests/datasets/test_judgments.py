"""Judgments of a data set: checked, and carried along when items move or are left out."""

import numpy as np
import pytest

from retrieval.datasets.catalog import make_catalog
from retrieval.datasets.checks import without
from retrieval.datasets.judgments import IGNORED, make_judgments
from retrieval.errors import UserError


def pairs(judgments):
    return list(judgments.pairs.itertuples(index=False, name=None))


def test_a_pair_that_is_both_relevant_and_left_out_is_left_out():
    found = make_judgments("medium", [1, 0, 1, 1], [5, 4, 5, 6], [2, 1, IGNORED, 3])
    assert pairs(found) == [(0, 4, 1.0), (1, 5, IGNORED), (1, 6, 3.0)]


@pytest.mark.parametrize(
    ("name", "grade", "words"),
    [
        ("a b", 1.0, "letters, digits"),
        ("easy", [0.0, 1.0], "grade 0 of item 2"),
        ("easy", [1.0, -2.0], "grade -2 of item 3"),
        ("easy", [1.0, np.nan], "grade nan of item 3"),
        ("easy", IGNORED, "no item is relevant"),
    ],
)
def test_what_is_no_judgment_is_refused(name, grade, words):
    with pytest.raises(UserError, match=words):
        make_judgments(name, [0, 1], [2, 3], grade)


def catalog_of_five(tmp_path):
    """Two training images, then a query and its two relevant images, one of which is junk."""
    return make_catalog(
        "toy",
        tmp_path,
        path=[f"{n}.jpg" for n in range(5)],
        label=[0, 0, 1, 1, 1],
        label_name=["a", "a", "b", "b", "b"],
        split=["train"] * 2 + ["test"] * 3,
        role=["both"] * 2 + ["query", "gallery", "gallery"],
        judgments=[make_judgments("easy", [2, 2], [3, 4], [1, IGNORED])],
    )


def test_rows_are_those_of_the_split_that_is_embedded(tmp_path):
    catalog = catalog_of_five(tmp_path)
    (found,) = catalog.judgments_of(catalog.split("test"))
    assert pairs(found) == [(0, 1, 1.0), (0, 2, IGNORED)]


def test_images_that_are_left_out_take_their_pairs_along(tmp_path):
    catalog = catalog_of_five(tmp_path)
    fewer = without(catalog, {"0.jpg": "damaged", "4.jpg": "damaged"})
    assert pairs(fewer.judgments[0]) == [(1, 2, 1.0)]
    assert fewer.items["path"].tolist() == ["1.jpg", "2.jpg", "3.jpg"]
