"""The help texts of the commands."""

import pytest

from retrieval.cli.main import app
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
    assert retrieval(command, "-h") == (code, out, err)
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
