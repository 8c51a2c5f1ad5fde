"""Settings of presets: the words of --pooling, what is resolved, and what has no effect."""

import subprocess
import sys

import pytest

from retrieval import TrainSettings, load_catalog
from retrieval.errors import UserError
from retrieval.settings.checks import check
from retrieval.settings.identity import same_experiment
from retrieval.settings.resolve import resolve


def test_the_words_of_pooling():
    assert TrainSettings(pooling="mean").pooling == "average"
    assert TrainSettings(pooling="default").pooling is None
    assert TrainSettings(pooling="cls+average").pooling == "cls+average"
    with pytest.raises(UserError, match="did you mean 'head'"):
        TrainSettings(pooling="haed")


def test_open_settings_are_those_of_the_preset(preset, shapes):
    catalog = load_catalog("folder", shapes)
    found = resolve(TrainSettings(dataset="folder", backbone=preset("clip")), catalog)
    assert (found.pooling, found.image_size) == ("head", 32)
    found = resolve(TrainSettings(dataset="folder", backbone="conv4"), catalog)
    assert (found.pooling, found.image_size) == ("average", 64)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lora_layers": "fc1"}, "--lora-layers has no effect without --lora-rank"),
        ({"lora_rank": 2, "freeze_backbone": True}, "--lora-rank has no effect with --freeze-b"),
        ({"layer_decay": 0.5, "freeze_backbone": True}, "--layer-decay has no effect with"),
        ({"image_size": 36}, "patches of 8 px"),
        ({"pooling": "head"}, "--pooling head"),
    ],
)
def test_settings_that_do_not_fit_are_refused_before_any_work(changes, words, preset, shapes):
    settings = TrainSettings(dataset="folder", data=str(shapes), backbone=preset("vit"))
    with pytest.raises(UserError, match=words):
        check(settings.with_(**changes))


def test_which_layers_have_factors_matters_only_with_lora():
    one = TrainSettings(lora_layers="fc1")
    assert same_experiment(one, TrainSettings())
    assert not same_experiment(one.with_(lora_rank=2), TrainSettings(lora_rank=2))
    assert not same_experiment(TrainSettings(layer_decay=0.5), TrainSettings())


def test_a_preset_on_disk_is_checked_without_keras_hub(preset, shapes):
    code = (
        "import sys; from retrieval import TrainSettings; "
        "from retrieval.settings.checks import check; import retrieval.cli.main; "
        f"check(TrainSettings(dataset='folder', data={str(shapes)!r}, loss='none', "
        f"backbone={preset('siglip')!r})); "
        "sys.exit('keras_hub' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
