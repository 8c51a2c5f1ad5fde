"""Help that helps."""

import re

import pytest

from retrieval.cli.main import app
from retrieval.cli.options import argument_docs, dataset_parameters, setting_parameters
from retrieval.settings.schema import TrainSettings

COMMANDS = [c.name or c.callback.__name__ for c in app.registered_commands]


def test_no_arguments_print_the_help(retrieval):
    code, out, _ = retrieval()
    assert code == 0
    assert all(command in out for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(retrieval, command):
    code, out, err = retrieval(command, "--help")
    assert (code, err) == (0, "")
    assert f"Usage: retrieval {command}" in out


def test_train_help_names_every_setting_and_its_default(retrieval):
    out = " ".join(retrieval("train", "--help")[1].split())
    for name in TrainSettings.model_fields:
        if name != "scaled":
            assert f"--{name.replace('_', '-').removesuffix('s')}" in out
    for default in (
        "semi_hard_triplet",
        "500",
        "0.0003",
        "adam",
        "off",
        "the loss's recommendation",
    ):
        assert f"Defaults to {default}." in out


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
