"""The setting ``matryoshka``: what it takes, whom it belongs to, and the name of its run."""

import pytest

from retrieval import TrainSettings
from retrieval.errors import UserError
from retrieval.runs.names import default_name
from retrieval.settings.checks import check
from retrieval.settings.identity import differing, same_experiment
from retrieval.settings.schema import matryoshka_widths


@pytest.mark.parametrize("given", ["16,32", " 16, 32", [16, 32], (16, 32.0)])
def test_widths_are_a_text_or_a_list(given):
    settings = TrainSettings(matryoshka=given)
    assert settings.matryoshka == "16,32"
    assert matryoshka_widths(settings) == (16, 32)
    assert TrainSettings.from_mapping(settings.to_mapping()) == settings


def test_one_width_is_a_number():
    assert TrainSettings(matryoshka=16).matryoshka == "16"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("32,16", "ascending"), ("16,16", "ascending"), ("16;32", "widths of at least 1"),
        ("0,16", "widths of at least 1"), ("", "widths of at least 1"), ([1.5], "at least 1"),
        ("16,256", "exceeds the embedding's 128"), ("128", "at least one below it"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(given, words):
    with pytest.raises(UserError, match=words) as caught:
        TrainSettings(matryoshka=given)
    assert "\n" not in str(caught.value)
    assert "matryoshka" in str(caught.value)


def test_the_width_of_the_embedding_goes_without_saying():
    named, not_named = (TrainSettings(matryoshka=w) for w in ("16,128", "16"))
    assert same_experiment(named, not_named)
    assert differing(TrainSettings(), not_named) == ["matryoshka"]


def test_the_untrained_network_has_none():
    with pytest.raises(UserError, match="--matryoshka has no effect with --loss none"):
        check(TrainSettings(loss="none", matryoshka="16"))


def test_its_run_is_called_after_it():
    assert default_name(TrainSettings(matryoshka="16", loss="circle")) == "circle-matryoshka"
    name = default_name(TrainSettings(matryoshka="16", loss="circle", seed=2))
    assert name == "circle-matryoshka-seed2"
