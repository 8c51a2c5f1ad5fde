"""Settings: types, bounds, choices, and error messages of one line."""

from types import MappingProxyType

import numpy as np
import pytest
import yaml
from pydantic import ValidationError

from retrieval.errors import UserError
from retrieval.settings.schema import TrainSettings, flag_of, selected_on


def test_settings_survive_yaml():
    settings = TrainSettings(loss="npairs_loss", loss_options={"regularizer": 0.0}, steps=7)
    text = yaml.safe_dump(settings.to_mapping())
    assert TrainSettings.from_mapping(yaml.safe_load(text)) == settings


def test_an_unknown_key_names_the_closest_valid_one():
    with pytest.raises(UserError, match="unknown setting 'learning_rat': did you mean 'learning_r"):
        TrainSettings.from_mapping({"learning_rat": 0.1})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps = 0: give a whole number from 1 to 100000000"),
        ({"learning_rate": -1.0}, "learning_rate = -1.0"),
        ({"schedule": "cosin"}, "did you mean 'cosine'"),
        ({"patience": 3}, "add --eval-split"),
        ({"validation_fraction": 1.0}, "give a number above 0 and below 1"),
        ({"test_time_mean": "plain"}, "needs test-time views: add --test-time"),
        ({"cache_images_gb": -1}, "cache_images_gb = -1.0: give a number of at least 0"),
        ({"memory_start": -1}, "memory_start = -1: give a whole number of at least 0"),
        ({"memory_weight": 0}, "memory_weight = 0.0: give a number above 0"),
    ],
)
def test_a_bad_value_is_one_line_with_the_fix(change, message):
    with pytest.raises(UserError, match=message) as caught:
        TrainSettings(**change)
    assert "\n" not in str(caught.value)


def test_text_that_is_a_number_is_accepted_as_yaml_reads_1e_4_as_text():
    given = yaml.safe_load("{learning_rate: 1e-4, steps: 1e3, clip_norm: null}")
    assert isinstance(given["learning_rate"], str)
    settings = TrainSettings.from_mapping(given)
    assert (settings.learning_rate, settings.steps, settings.clip_norm) == (1e-4, 1000, None)


def test_text_that_is_a_number_is_accepted_in_the_options_of_a_loss_too():
    text = "{temperature: 1e-2, ks: [1, 1e1], margin: soft, miner: null, seed: 1e3, flag: true}"
    given = yaml.safe_load(text)
    assert isinstance(given["temperature"], str)
    options = TrainSettings(loss_options=given).loss_options
    assert options == {
        "temperature": 0.01, "ks": [1, 10], "margin": "soft", "miner": None, "seed": 1000,
        "flag": True,
    }  # fmt: skip
    assert isinstance(options["seed"], int)


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "", "1e-2x"])
def test_other_text_in_the_options_of_a_loss_stays_text(text):
    assert TrainSettings(loss_options={"margin": text}).loss_options == {"margin": text}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": "many"}, "steps = 'many': give a whole number from 1 to 100000000"),
        ({"steps": 10.5}, "steps = 10.5: give a whole number from 1 to 100000000"),
        ({"seed": "zero"}, "seed = 'zero': give a whole number from 0 to 4294967295"),
        ({"seed": True}, "seed = True: give a whole number from 0 to 4294967295"),
        ({"seed": -1}, "seed = -1: give a whole number from 0 to 4294967295"),
        ({"seed": 2**32}, "seed = 4294967296: give a whole number from 0 to 4294967295"),
        ({"seed": None}, "seed = None: give a whole number from 0 to 4294967295"),
        ({"freeze_backbone": "maybe"}, "freeze_backbone = 'maybe': give true or false"),
        ({"learning_rate": [1e-4]}, "learning_rate = [0.0001]: give a number above 0"),
        ({"learning_rate": float("nan")}, "learning_rate = nan: give a number above 0"),
        ({"loss_options": ["margin"]}, "loss_options = ['margin']: give a mapping, name: value"),
        ({"loss": 3}, "loss = 3: give text"),
    ],
)
def test_a_value_of_another_type_is_one_line(change, message):
    with pytest.raises(UserError) as caught:
        TrainSettings.from_mapping(change)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("change", "split"),
    [
        ({}, None),
        ({"eval_split": "test"}, None),
        ({"eval_split": "test", "use_checkpoint": "best"}, "test"),
        ({"eval_split": "test", "patience": 2}, "test"),
        ({"eval_split": "validation", "use_checkpoint": "best"}, "validation"),
    ],
)
def test_the_split_that_chose_the_network_is_known(change, split):
    assert selected_on(TrainSettings(**change)) == split


def test_every_default_is_a_valid_value():
    defaults = TrainSettings().to_mapping()
    assert TrainSettings(**defaults) == TrainSettings()


def test_numpy_scalars_and_paths_become_plain_values(tmp_path):
    settings = TrainSettings(
        steps=np.int64(7),
        learning_rate=np.float32(0.5),
        flip=np.bool_(True),
        data=tmp_path,
        loss_options=MappingProxyType({"margin": "1e-1"}),
    )
    mapping = settings.to_mapping()
    assert yaml.safe_load(yaml.safe_dump(mapping)) == mapping
    assert [type(mapping[k]) for k in ("steps", "learning_rate", "flip", "data")] == [
        int, float, bool, str,
    ]  # fmt: skip


def test_settings_cannot_be_changed_in_place():
    settings = TrainSettings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.steps = 3
    options = {"margin": 0.1}
    settings = TrainSettings(loss_options=options)
    options["margin"] = 0.2
    settings.to_mapping()["loss_options"]["margin"] = 0.3
    assert settings.loss_options == {"margin": 0.1}


def test_an_unknown_keyword_names_the_closest_valid_one():
    with pytest.raises(UserError, match=r"'step'.*'steps'"):
        TrainSettings(step=3)
    with pytest.raises(UserError, match=r"'step'.*'steps'"):
        TrainSettings().with_(step=3)


def test_the_json_schema_has_types_bounds_choices_and_help():
    fields = TrainSettings.model_json_schema()["properties"]
    assert fields["steps"].items() >= {"type": "integer", "minimum": 1, "default": 500}.items()
    assert fields["optimizer"]["enum"] == ["adam", "adamw", "momentum"]
    assert {"panel", "affects", "description"} <= fields["clip_norm"].keys()


def test_values_spelled_as_in_version_0_1_0_are_read():
    old = {"augment": "colour", "test_time": "centre+flip", "test_time_mean": "normalised"}
    settings = TrainSettings.from_mapping(old)
    assert (settings.augment, settings.test_time) == ("color", "center+flip")
    assert settings.test_time_mean == "normalized"


def test_a_loss_option_spelled_as_in_version_0_1_0_is_read():
    old = {"loss": "soft_triple", "loss_options": {"centres_per_class": 5, "scale": 1.0}}
    settings = TrainSettings.from_mapping(old)
    assert settings.loss_options == {"centers_per_class": 5, "scale": 1.0}


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        ("learning_rate", "--learning-rate"),
        ("loss_options", "--loss-option"),  # one pair at a time
        ("dataset_options", "--dataset-option"),
        ("classes_per_batch", "--classes-per-batch"),  # no mapping: its s stays
        ("split_seed", "--split-seed"),  # an option of a data set
    ],
)
def test_a_setting_has_one_flag(name, flag):
    assert flag_of(name) == flag


@pytest.mark.parametrize("name", ["image_size", "pre_crop"])
@pytest.mark.parametrize(
    ("given", "held"),
    [("{x: 64}", 64), ("{x: [64, 64]}", 64), ("{x: '64'}", 64), ("{x: 64x64}", 64),
     ("{x: 64x32}", "64x32"), ("{x: [64, 32]}", "64x32"), ("{x: null}", None)],
)  # fmt: skip
def test_a_size_is_held_in_one_way_however_it_is_written(name, given, held):
    settings = TrainSettings.from_mapping({name: yaml.safe_load(given)["x"]})
    assert getattr(settings, name) == held
    text = yaml.safe_dump(settings.to_mapping())
    assert f"{name}: {'null' if held is None else held}\n" in text
    assert TrainSettings.from_mapping(yaml.safe_load(text)) == settings


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_size": 0}, "image_size = 0: give a whole number from 1 to 4096"),
        ({"image_size": "5000x9"}, r"'5000x9': .* from 1 to 4096 for the height$"),
        ({"image_size": (9, 5000)}, r"'9x5000': .* from 1 to 4096 for the width$"),
        ({"pre_crop": "9x9000"}, r"'9x9000': .* from 1 to 8192 for the width$"),
        (
            {"image_size": "tall"},
            "image_size = 'tall': give .*or a height and a width, such as 256",
        ),
        (
            {"image_size": [1, 2, 3]},
            r"image_size = \[1, 2, 3\]: give a whole number from 1 to 4096",
        ),
        ({"image_size": True}, "image_size = True: give a whole number from 1 to 4096"),
    ],
)
def test_a_size_out_of_range_names_the_side(change, message):
    with pytest.raises(UserError, match=message) as caught:
        TrainSettings(**change)
    assert "\n" not in str(caught.value)


def test_the_json_schema_knows_every_way_to_write_a_size():
    whole, text, pair, none = TrainSettings.model_json_schema()["properties"]["image_size"]["anyOf"]
    assert whole == {"type": "integer", "minimum": 1, "maximum": 4096}
    assert (text["type"], pair["items"], none) == ("string", whole, {"type": "null"})
