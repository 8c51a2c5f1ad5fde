import inspect
import re
import typing
from pathlib import Path

import pytest
from PIL import Image

from retrieval.datasets import (
    DATASETS,
    cub200,
    dataset_options,
    fetch_dataset,
    list_datasets,
    load_catalog,
)
from retrieval.datasets.catalog import COLUMNS, OPTIONAL_COLUMNS
from retrieval.errors import UserError


def test_every_entry_is_complete():
    for name, entry in DATASETS.items():
        assert entry.name == name
        assert entry.title
        assert entry.splits
        assert entry.how_to_get
        assert next(iter(inspect.signature(entry.load).parameters)) == "root"
        own = entry.n_images is None
        assert own == (not entry.license)
        assert not own or entry.n_classes is None


def test_options_are_the_loaders_keywords():
    assert dataset_options("typefaces") == {"subset": "letters"}
    assert dataset_options("grocery") == {}
    assert dataset_options("cub200") == {"boxes": False}


def test_every_option_has_a_type_and_a_line_of_help():
    """The command line's flags are made from them."""
    for name, entry in DATASETS.items():
        types = typing.get_type_hints(entry.load)
        for option in dataset_options(name):
            assert option in types, f"{name}: {option} has no annotation"
            line = rf"^    {option}: [A-Z][\s\S]*?\.$"
            assert re.search(line, inspect.getdoc(entry.load), re.MULTILINE), f"{name}: {option}"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: load_catalog("groceries"), "unknown data set 'groceries': did you mean 'grocery'"),
        (
            lambda: load_catalog("cub200", box=True),
            "data set cub200 has no option 'box'; did you mean 'boxes'",
        ),
        (
            lambda: load_catalog("sop", boxes=True),
            "^data set sop has no option 'boxes'; valid: none$",
        ),
        (lambda: load_catalog("sop"), "'sop' is not at data/sop: run `retrieval fetch sop`"),
        (lambda: fetch_dataset("cubs"), "unknown data set 'cubs'"),
        (lambda: fetch_dataset("folder"), "has nothing to fetch: give your folder"),
        (lambda: fetch_dataset("inshop"), "has nothing to fetch: it is behind a form"),
        (lambda: fetch_dataset("cub200", archive="no.tgz"), "no archive at no.tgz"),
    ],
)
def test_mistakes_are_answered_in_one_line(call, words):
    with pytest.raises(UserError, match=words) as error:
        call()
    assert "\n" not in str(error.value)


def test_digits_are_written_on_first_use(tmp_path):
    catalog = load_catalog("digits", tmp_path / "digits")
    items = catalog.items
    assert len(items) == DATASETS["digits"].n_images == 1797
    assert items["label"].nunique() == DATASETS["digits"].n_classes
    assert set(items.loc[items["split"] == "train", "label"]) == set(range(5))
    with Image.open(catalog.absolute_paths()[0]) as image:
        assert image.size == (32, 32)
    assert load_catalog("digits", tmp_path / "digits").items.equals(items)


def test_catalog_columns_are_the_agreed_ones(tmp_path):
    items = load_catalog("digits", tmp_path / "digits").items
    assert tuple(items.columns[:5]) == COLUMNS
    assert set(items.columns) <= set(COLUMNS) | set(OPTIONAL_COLUMNS)
    assert items["label"].dtype == "int64"
    assert all(items[c].dtype == object for c in ("path", "label_name", "split", "role"))


def test_the_list_says_what_is_on_this_disk(tmp_path):
    load_catalog("digits", tmp_path / "digits")
    (tmp_path / "cub200").mkdir()
    (tmp_path / "cub200/CUB_200_2011.tgz.part").write_bytes(b"half")
    table = list_datasets(tmp_path).set_index("name")
    assert list(table.index) == list(DATASETS)
    state = table["on this disk"]
    assert state["digits"] == "yes"
    assert state["cub200"] == "incomplete: no images.txt"
    assert state["typefaces"] == "no"
    get = table["how to get"]
    assert get["typefaces"] == "nothing: made on first use"
    assert get["cars196"] == "retrieval fetch cars196 says how"
    assert state["sop"] == "no"
    assert state["folder"] == "yours"
    assert table.loc["sop", "images"] == "120,053"
    assert table.loc["sop", "classes"] == "22,634"


@pytest.mark.parametrize(
    ("name", "there", "state"),
    [
        ("inshop", ["img/"], "incomplete: no Eval/list_eval_partition.txt"),
        ("inshop", ["img/", "list_eval_partition.txt"], "incomplete"),
        ("inshop", ["img/", "Eval/list_eval_partition.txt"], "incomplete"),
        ("cars196", ["cars_annos.mat"], "incomplete: no car_ims"),
        ("cars196", ["cars_annos.mat", "car_ims/"], "incomplete"),
        ("omniglot", ["images_evaluation/"], "incomplete: no images_background"),
        ("sop", ["Ebay_train.txt", "Ebay_test.txt"], "incomplete: no bicycle_final"),
        (
            "cub200",
            [f"CUB_200_2011/{name}" for name in (*cub200.LISTS, "images/")],
            "incomplete",
        ),
        ("cub200", [*cub200.LISTS], "incomplete: no images"),
        ("grocery", ["dataset/classes.csv", "dataset/train.txt"], "incomplete: no dataset/val.txt"),
        ("digits", ["other/"], "no"),
    ],
)
def test_what_a_data_set_lacks_is_listed(tmp_path, name, there, state):
    for path in there:
        place = tmp_path / name / path
        folder = place if path.endswith("/") else place.parent
        folder.mkdir(parents=True, exist_ok=True)
        if folder != place:
            place.touch()
    table = list_datasets(tmp_path).set_index("name")
    assert table.loc[name, "on this disk"] == state


def test_listing_draws_no_images(tmp_path):
    images = load_catalog("digits", tmp_path / "digits").absolute_paths()
    Path(images[0]).unlink()
    list_datasets(tmp_path)
    assert not Path(images[0]).exists()


def test_a_folder_of_ones_own_under_the_name_of_a_built_in_data_set_is_explained(tmp_path):
    (tmp_path / "photos" / "a").mkdir(parents=True)
    with pytest.raises(UserError, match=r"'grocery' is a built-in data set.*another --dataset"):
        load_catalog("grocery", tmp_path / "photos")


@pytest.mark.parametrize("name", ["shoes", "folder", "csv"])
def test_data_that_are_not_there_are_named_as_such(tmp_path, name):
    with pytest.raises(UserError, match=r"--data .*nope: no such folder or file"):
        load_catalog(name, tmp_path / "nope")
