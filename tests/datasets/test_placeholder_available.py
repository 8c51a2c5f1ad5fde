"""What a notebook opens: the data set if it is on the disk, a marked stand-in if not."""

import pytest

from retrieval.datasets import load_catalog
from retrieval.datasets.placeholder import (
    available_or_standin,
    make_standin,
    own_folder_or_example,
    write_standin,
)
from retrieval.datasets.placeholder_formats import WRITERS
from retrieval.errors import UserError
from tests.datasets.conftest import below


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_a_data_set_that_is_there_is_opened(name, photos, tmp_path):
    place = write_standin(name, photos, tmp_path / "data" / name, classes=2, per_class=3)
    assert available_or_standin(name, data=tmp_path / "data") == (place, True)
    (place / "STANDIN.txt").unlink()
    assert available_or_standin(name, data=tmp_path / "data") == (place, False)
    assert available_or_standin(name, place) == (place, False)


def test_where_there_is_none_a_stand_in_is_made_once(tmp_path):
    place, stand_in = available_or_standin("cub200", data=tmp_path)
    assert (place, stand_in) == (tmp_path / "standins" / "cub200", True)
    catalog = load_catalog("cub200", place)
    assert catalog.options["stand_in"] is True
    assert set(catalog.items["split"]) == {"train", "test"}
    before = below(place)
    assert available_or_standin("cub200", data=tmp_path) == (place, True)
    assert below(place) == before


def test_a_stand_in_is_made_on_request_beside_the_data_set_and_only_once(tmp_path):
    place = make_standin("sop", data=tmp_path)
    assert place == tmp_path / "standins" / "sop"
    assert load_catalog("sop", place).options["stand_in"] is True
    before = below(place)
    assert make_standin("sop", data=tmp_path) == place
    assert below(place) == before
    next(place.rglob("*.JPG")).unlink()
    with pytest.raises(UserError, match="1 file missing"):
        make_standin("sop", data=tmp_path)


def test_no_stand_in_takes_the_place_of_anything(photos, tmp_path):
    with pytest.raises(UserError, match="photos exists: a stand-in is written to a new folder"):
        make_standin("sop", photos.root, data=tmp_path)
    with pytest.raises(UserError, match="unknown data set to stand in for 'omniglot': valid: cars"):
        make_standin("omniglot", data=tmp_path)


def test_a_folder_that_was_named_is_never_replaced_by_a_stand_in(tmp_path):
    with pytest.raises(UserError, match="no data set 'sop' at"):
        available_or_standin("sop", tmp_path / "nowhere", data=tmp_path)
    with pytest.raises(UserError, match="one sub-folder per class"):
        own_folder_or_example(tmp_path / "nowhere", data=tmp_path)
    assert below(tmp_path) == ["work"]


def test_the_example_of_a_folder_loads_as_one(tmp_path):
    folder, example = own_folder_or_example(data=tmp_path)
    assert example
    catalog = load_catalog("folder", folder)
    assert catalog.items["label"].nunique() == len([p for p in folder.iterdir() if p.is_dir()])
    assert own_folder_or_example(folder, data=tmp_path) == (folder, False)
