"""Settings of presets: the words of --pooling, what is resolved, and what has no effect."""

import subprocess
import sys

import pytest

from retrieval import TrainSettings, load_catalog
from retrieval.errors import UserError
from retrieval.settings.checks import check
from retrieval.settings.identity import same_experiment
from retrieval.settings.resolve import backbone_remarks, resolve
from tests.presets import write_preset


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
        ({"lora_rank": 2, "weights": "none"}, "would start from random ones"),
        ({"lora_rank": 2, "backbone": "conv4"}, "would start from random ones"),
        (
            {"lora_rank": 2, "freeze_batch_norm": False},
            "--no-freeze-batch-norm has no effect with --lora-rank",
        ),
        (
            {"lora_rank": 2, "freeze_batch_norm_steps": 9},
            "--freeze-batch-norm-steps has no effect with --lora-rank",
        ),
        ({"layer_decay": 0.5, "freeze_backbone": True}, "--layer-decay has no effect with"),
        ({"image_size": 36}, "patches of 8 px"),
        ({"pooling": "head"}, "--pooling head"),
    ],
)
def test_settings_that_do_not_fit_are_refused_before_any_work(changes, words, preset, shapes):
    settings = TrainSettings(dataset="folder", data=str(shapes), backbone=preset("vit"))
    with pytest.raises(UserError, match=words):
        check(settings.with_(**changes))


def test_what_has_no_effect_with_lora_is_accepted_for_the_untrained_network(preset, shapes):
    settings = TrainSettings(dataset="folder", data=str(shapes), backbone=preset("vit"))
    check(settings.with_(loss="none", lora_rank=2, weights="none", freeze_batch_norm=False))


@pytest.mark.parametrize("name", ["resnet", "swin", "conv4", "dinov2_small"])
def test_rates_per_block_need_blocks_and_are_refused_before_any_work(name, preset, shapes):
    backbone = preset(name) if name in ("resnet", "swin") else name
    settings = TrainSettings(dataset="folder", data=str(shapes), backbone=backbone, layer_decay=0.5)
    if name in ("swin", "dinov2_small"):
        check(settings)
        return
    with pytest.raises(UserError, match="--layer-decay goes with transformers"):
        check(settings)


def test_what_is_done_with_pixels_that_a_preset_does_not_say_is_said(preset, tmp_path):
    settings = TrainSettings(backbone=preset("siglip"))
    (line,) = backbone_remarks(settings)
    assert "has no image_converter.json: pixels are scaled by the mean (0.5, 0.5, 0.5)" in line
    assert not backbone_remarks(settings.with_(weights="none"))
    assert not backbone_remarks(TrainSettings(backbone="conv4"))
    how = {"image_size": (32, 32), "crop_to_aspect_ratio": False}
    plain = write_preset(tmp_path / "plain", "vit", converter=how)
    assert not backbone_remarks(TrainSettings(backbone=plain))
    how = {"image_size": (32, 32), "interpolation": "bicubic", "antialias": True}
    cropping = write_preset(tmp_path / "cropping", "vit", converter=how)
    (line,) = backbone_remarks(TrainSettings(backbone=cropping))
    assert "crops to the aspect ratio, resizes by bicubic, with antialiasing; that is not" in line


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
