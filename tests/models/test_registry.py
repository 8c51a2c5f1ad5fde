"""The registries of backbones and heads: names, sizes, and no TensorFlow for reading them."""

import subprocess
import sys

import pytest

from retrieval.models import BACKBONES, build_backbone

SMALL = {"conv4": 32, "mobilenet_v3_small": 32, "resnet50": 32}  # cheap to build


def test_reading_the_registries_does_not_load_tensorflow():
    code = "import sys, retrieval.models; assert not {'tensorflow', 'keras'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", SMALL)
def test_the_registry_s_feature_size_and_number_of_parameters_are_the_network_s(name):
    backbone = build_backbone(name, SMALL[name], weights=None)
    assert backbone.name == "backbone"
    assert backbone.output_shape == (None, BACKBONES[name].feature_size)
    assert backbone.count_params() == BACKBONES[name].parameters
