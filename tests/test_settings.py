"""Settings refuse what they do not know, and name what was meant."""

import pytest
import yaml

from retrieval.errors import UserError
from retrieval.settings import TrainSettings


def test_settings_survive_yaml():
    settings = TrainSettings(loss="npairs_loss", loss_options={"regulariser": 0.0}, steps=7)
    text = yaml.safe_dump(settings.to_mapping())
    assert TrainSettings.from_mapping(yaml.safe_load(text)) == settings


def test_an_unknown_key_names_the_closest_valid_one():
    with pytest.raises(UserError, match="unknown setting 'learning_rat': did you mean 'learning_r"):
        TrainSettings.from_mapping({"learning_rat": 0.1})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps = 0: give a number of at least 1"),
        ({"learning_rate": -1.0}, "learning_rate = -1.0"),
        ({"schedule": "cosin"}, "did you mean 'cosine'"),
        ({"patience": 3}, "add --eval-split"),
        ({"validation_fraction": 1.0}, "give 0 < f < 1"),
    ],
)
def test_a_bad_value_is_one_line_with_the_fix(change, message):
    with pytest.raises(UserError, match=message) as caught:
        TrainSettings(**change)
    assert "\n" not in str(caught.value)
