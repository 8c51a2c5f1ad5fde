"""``retrieval backbones``: a table for people, JSON for programs."""

import json

import pytest
from typer.testing import CliRunner

from retrieval.cli.main import app
from retrieval.errors import UserError
from retrieval.models import BACKBONES
from tests.presets import VIT, write_preset


@pytest.fixture(autouse=True)
def _caches(tmp_path, monkeypatch):
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))


def listed(*options):
    result = CliRunner().invoke(app, ["backbones", *options])
    assert result.exit_code == 0, result.output
    return result.output


def test_a_family_as_a_table(tmp_path):
    lines = listed("--family", "dinov3").splitlines()
    assert lines[0].split() == [
        "name", "family", "parameters", "width", "pixels", "pooling", "license", "here",
    ]  # fmt: skip
    small = next(line for line in lines if "vit_small_lvd" in line)
    assert small.split()[2:] == ["21.6", "M", "384", "-", "cls", "DINOv3", "License", "no"]
    assert "retrieval fetch weights NAME" in lines[-1]


def test_a_preset_that_is_here_says_so_and_has_the_figures_of_its_files(tmp_path):
    folder = tmp_path / "models/keras/dinov3/keras/dinov3_vit_small_lvd1689m/1"
    write_preset(folder, "dinov3")
    rows = {row["name"]: row for row in json.loads(listed("--json"))}
    here = rows["hub:dinov3_vit_small_lvd1689m"]
    assert (here["here"], here["folder"], here["get"]) == (True, str(folder), None)
    assert (here["width"], here["image_size"]) == (16, 32)
    other = rows["hub:dinov3_vit_base_lvd1689m"]
    assert (other["here"], other["get"]) == (False, f"retrieval fetch weights {other['name']}")
    assert other["folder"] == str(tmp_path / "models/keras/dinov3/keras/dinov3_vit_base_lvd1689m/1")
    assert {*BACKBONES} <= {*rows}
    assert rows["conv4"]["here"]
    lite = rows["efficientnet_lite0"]
    assert (lite["parameters"], lite["license"]) == (3_413_024, "Apache-2.0")


def test_a_preset_that_is_here_lists_the_poolings_that_it_takes(tmp_path, monkeypatch):
    folder = tmp_path / "models/keras/vit/keras/vit_base_patch16_224_imagenet/1"
    monkeypatch.setitem(VIT, "use_class_token", False)
    write_preset(folder, "vit")
    rows = {row["name"]: row for row in json.loads(listed("--json", "--family", "vit"))}
    here = rows["hub:vit_base_patch16_224_imagenet"]
    assert (here["pooling"], "cls" in here["poolings"]) == ("average", False)
    other = rows["hub:vit_large_patch16_224_imagenet"]
    assert (other["pooling"], "cls" in other["poolings"]) == ("cls", True)


def test_an_unknown_family():
    result = CliRunner().invoke(app, ["backbones", "--family", "dino3"])
    assert isinstance(result.exception, UserError)
    assert "did you mean 'dinov3'" in str(result.exception)
