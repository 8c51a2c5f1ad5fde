"""Flags are made from the settings and from the loaders of the data sets."""

import re

import pytest

from retrieval.cli.options import (
    argument_docs,
    dataset_parameters,
    parse_dataset_option,
    parse_ks,
    parse_pairs,
    setting_parameters,
)
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


def test_options_of_a_data_set_have_the_type_of_the_loader():
    pairs = ["test_fraction=0.3", "split-seed=4", "boxes=TRUE", "subset=007"]
    assert parse_pairs(pairs, "dataset_options") == {
        "test_fraction": 0.3,
        "split_seed": 4,
        "boxes": True,
        "subset": "007",
    }
    with pytest.raises(UserError, match=r"--split-seed = '1.5': give a whole number"):
        parse_dataset_option("split_seed", "1.5")


def test_options_of_a_loss_are_read_as_yaml():
    pairs = ["margin=0.5", "ks=[1, 2]", "miner=hardest", "flag=true"]
    assert parse_pairs(pairs, "loss_options") == {
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
