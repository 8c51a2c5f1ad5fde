"""A stage that takes long says so; one that does not is silent."""

import time

from retrieval.progress import stage


def test_a_stage_that_takes_long_names_itself_and_its_seconds(capsys):
    with stage("searching", quiet=0.01):
        time.sleep(0.3)
    assert "searching: 0 s" in capsys.readouterr().err


def test_short_and_hidden_stages_are_silent(capsys):
    with stage("short", quiet=5):
        pass
    with stage("hidden", show=False, quiet=0):
        time.sleep(0.05)
    assert capsys.readouterr().err == ""
