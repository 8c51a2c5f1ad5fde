"""Flags are made from the settings and from the loaders of the data sets."""

import dataclasses
import re

import pytest

from retrieval.cli.options import (
    argument_docs,
    dataset_of,
    dataset_parameters,
    parse_dataset_option,
    parse_ks,
    parse_loss_options,
    setting_parameters,
    split_pairs,
)
from retrieval.datasets import DATASETS
from retrieval.errors import UserError


def test_every_setting_states_its_default():
    for parameter in setting_parameters():
        text = parameter.annotation.__metadata__[0].help
        mapping = parameter.name in ("dataset_options", "loss_options")
        assert ("Defaults to" in text) != mapping, parameter.name


def test_every_option_of_a_data_set_is_explained_by_its_loader():
    parameters = dataset_parameters()
    assert parameters
    for parameter in parameters:
        text = parameter.annotation.__metadata__[0].help
        assert re.search(r"\] `?\w", text), parameter.name


def test_the_arguments_of_a_docstring_are_read():
    def load(root, *, boxes=False, split_seed=0):
        """Load it.

        Args:
            root: The folder.
            boxes: Crop each image to its box,
                if it has one.
            split_seed: Seed: of the split.

        Returns:
            other: nothing.
        """

    assert argument_docs(load) == {
        "root": "The folder.",
        "boxes": "Crop each image to its box, if it has one.",
        "split_seed": "Seed: of the split.",
    }


def test_options_of_a_data_set_have_the_type_of_its_loader():
    given = {"test_fraction": "0.3", "split_seed": "4"}
    assert {name: parse_dataset_option(name, text, "folder") for name, text in given.items()} == {
        "test_fraction": 0.3,
        "split_seed": 4,
    }
    assert parse_dataset_option("boxes", "TRUE", "cub200") is True
    assert parse_dataset_option("subset", "007", "typefaces") == "007"
    with pytest.raises(UserError, match=r"--split-seed = '1.5': "):
        parse_dataset_option("split_seed", "1.5", "folder")


def test_data_sets_may_declare_one_option_name_differently(monkeypatch):
    def load(root, *, train_classes: int = 2):
        """Load.

        Args:
            root: The folder.
            train_classes: Number of training classes. Defaults to 2.
        """

    counted = dataclasses.replace(DATASETS["folder"], name="counted", load=load)
    monkeypatch.setitem(DATASETS, "counted", counted)
    assert parse_dataset_option("train_classes", "6", "counted") == 6
    assert parse_dataset_option("train_classes", "6", "folder") == "6"  # a file's name
    assert "train_classes" in {parameter.name for parameter in dataset_parameters()}


def test_the_data_set_is_the_given_one_the_recipes_or_the_default():
    assert dataset_of({"dataset": "folder", "recipe": "cub200/hard_triplet"}) == "folder"
    assert dataset_of({"recipe": "cub200/hard_triplet"}) == "cub200"
    assert dataset_of({}) == "typefaces"


def test_options_are_pairs():
    assert split_pairs(["split-seed=4", "a=b=c"], "dataset_options") == {
        "split_seed": "4",
        "a": "b=c",
    }
    with pytest.raises(UserError, match="--dataset-option 'boxes'"):
        split_pairs(["boxes"], "dataset_options")


def test_options_of_a_loss_are_read_as_yaml():
    pairs = ["margin=0.5", "ks=[1, 2]", "miner=hardest", "flag=true"]
    assert parse_loss_options(pairs) == {
        "margin": 0.5,
        "ks": [1, 2],
        "miner": "hardest",
        "flag": True,
    }


def test_values_of_k_are_separated_by_commas():
    assert parse_ks("3, 5") == (3, 5)
    assert parse_ks("") == ()
    with pytest.raises(UserError, match="ks = 0"):
        parse_ks("3,0")
