"""Help that helps."""

import pytest

from retrieval.cli.main import app

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
    import dataclasses

    from retrieval.settings.schema import TrainSettings

    out = " ".join(retrieval("train", "--help")[1].split())
    for field in dataclasses.fields(TrainSettings):
        if field.name != "scaled":
            assert f"--{field.name.replace('_', '-').removesuffix('s')}" in out
    for default in ("[default: semi_hard_triplet]", "[default: 500]", "[default: 0.0003]",
                    "[default: adam]", "[default: off]"):  # fmt: skip
        assert default in out
