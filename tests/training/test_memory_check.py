"""A training that does not fit into memory is refused before it starts."""

from types import SimpleNamespace

import pytest
import tensorflow as tf
from tensorflow.python.client import device_lib

from retrieval import load_catalog
from retrieval.errors import UserError
from retrieval.experiment.pipeline import train
from retrieval.runs.resume import prepare_partial
from retrieval.settings.recipes import load_recipe
from retrieval.training.memory_check import (
    GIB,
    available_memory,
    check_memory,
    host_bytes,
    installed_bytes,
    kept_image_bytes,
    training_images,
)
from retrieval.training.memory_estimate import estimate_training_memory


@pytest.fixture
def large(tiny):
    """Settings of a batch just large enough to be checked; 48 images of it take about 0.5 GiB."""
    return tiny.with_(image_size=224, samples_per_class=4, steps=1, eval_every=1)


def gib(number):
    """Return a function that says so much memory is available."""
    return lambda: None if number is None else int(number * GIB)


def test_a_training_that_fits_no_machine_is_refused_before_anything_is_written(large, tmp_path):
    settings = large.with_(samples_per_class=10_000_000)
    with pytest.raises(UserError, match="GiB of memory") as caught:
        train(settings, runs=tmp_path / "runs", progress=False)
    assert "\n" not in str(caught.value)
    for option in ("--classes-per-batch", "--image-size", "--no-check-memory"):
        assert option in str(caught.value)
    assert not (tmp_path / "runs").exists()


def test_the_suggested_chunk_size_fits(large):
    settings = large.with_(samples_per_class=16, normalize=True)
    with pytest.raises(UserError, match=r"0\.2 GiB") as caught:
        check_memory(settings, available=gib(0.25))
    chunk = int(str(caught.value).split("--chunk-size ")[1].split(",")[0])
    assert 1 <= chunk < 48
    assert estimate_training_memory(settings.with_(chunk_size=chunk)) < 0.25 * GIB
    assert estimate_training_memory(settings.with_(chunk_size=chunk + 5)) > 0.25 * GIB


def test_no_chunk_size_is_suggested_if_none_fits(large):
    with pytest.raises(UserError, match="--classes-per-batch") as caught:
        check_memory(large.with_(normalize=True), available=gib(0.001))
    assert "--chunk-size" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "available"),
    [
        ({"check_memory": False}, 0.001),
        ({"freeze_backbone": True}, 0.001),
        ({"loss": "none"}, 0.001),
        ({"image_size": 16}, 0.001),  # too small to be looked at
        ({"image_size": "32x8"}, 0.001),
        ({}, 16),
        ({}, None),  # a system that does not say
    ],
    ids=str,
)
def test_a_training_that_fits_or_is_not_checked_is_accepted(large, changes, available):
    lines = []
    settings = large.with_(normalize=True, **changes)
    check_memory(settings, available=gib(available), announce=lines.append)
    assert lines == []


KEPT = 1_000 * 16 * 16 * 3  # bytes of a thousand decoded images of 16 x 16 pixels


def test_images_that_are_kept_are_those_that_fit_and_are_drawn_twice(tiny):
    often = tiny.with_(steps=1_000)  # 6,000 draws
    assert kept_image_bytes(often, 1_000) == KEPT
    assert kept_image_bytes(often, 3_001) == 0  # drawn less than twice
    assert kept_image_bytes(often.with_(cache_images_gb=KEPT / 1e9), 1_000) == KEPT
    assert kept_image_bytes(often.with_(cache_images_gb=(KEPT - 1) / 1e9), 1_000) == 0
    assert kept_image_bytes(often.with_(pre_crop=20), 1_000) == 1_000 * 20 * 20 * 3
    assert kept_image_bytes(often.with_(augment="strong"), 1_000) == 1_000 * 24 * 24 * 3


@pytest.mark.parametrize("gpu", [False, True])
def test_images_that_are_kept_need_main_memory(tiny, gpu, monkeypatch):
    devices = ["GPU:0"] if gpu else []
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: devices)
    settings = tiny.with_(steps=1_000)
    room = {"host" if gpu else "available": gib((KEPT - 1) / GIB)}
    with pytest.raises(UserError, match=r"--cache-images-gb 0") as caught:
        check_memory(settings, images=1_000, **room)
    assert "\n" not in str(caught.value)
    check_memory(settings, images=1_000, **dict.fromkeys(room, gib(KEPT / GIB)))
    check_memory(settings.with_(check_memory=False), images=1_000, **room)
    check_memory(settings.with_(cache_images_gb=0), images=1_000, **room)
    check_memory(settings.with_(freeze_backbone=True), images=1_000, **room)


def test_without_a_gpu_kept_images_and_the_network_share_the_memory(large):
    settings = large.with_(normalize=True, samples_per_class=16, steps=100)
    network = estimate_training_memory(settings)
    kept = kept_image_bytes(settings, 2_000)
    check_memory(settings, images=2_000, available=gib((network + kept + 1) / GIB))
    with pytest.raises(UserError, match=r"--cache-images-gb 0"):
        check_memory(settings, images=2_000, available=gib((network + kept - 1) / GIB))


def test_a_run_is_checked_with_the_images_it_trains_on(tiny, shapes):
    catalog = load_catalog("folder", shapes)
    everything = len(catalog.split("train"))
    assert training_images(tiny, catalog) == everything
    held_out = tiny.with_(eval_split="validation", validation_fraction=0.25)
    assert training_images(held_out, catalog) == round(0.75 * everything)


def test_a_recipe_says_what_it_needs():
    settings, lines = load_recipe("cub200/semi_hard_triplet").train_settings(), []
    check_memory(settings, available=gib(20), announce=lines.append)
    (said,) = lines
    assert said.startswith("cub200/semi_hard_triplet needs about 4.")
    assert said.endswith("GiB of memory, 20.0 available")


def test_a_recipe_without_the_memory_check_is_the_same_experiment():
    recipe = load_recipe("cub200/semi_hard_triplet")
    assert recipe.train_settings({"check_memory": False}).scaled is False
    assert recipe.train_settings({"chunk_size": 20}).scaled is True


def test_an_interrupted_run_continues_whether_memory_is_checked_or_not(tiny, tmp_path):
    catalog, folder = load_catalog(tiny.dataset, tiny.data), tmp_path / ".run.partial"
    prepare_partial(folder, tiny, catalog)
    write(folder, history__csv="step,loss\n")
    prepare_partial(folder, tiny.with_(check_memory=False), catalog)
    assert (folder / "history.csv").exists()
    prepare_partial(folder, tiny.with_(chunk_size=3), catalog)
    assert not (folder / "history.csv").exists()


def test_with_a_gpu_its_memory_counts(monkeypatch):
    devices = [
        SimpleNamespace(device_type="CPU", memory_limit=99 * GIB),
        SimpleNamespace(device_type="GPU", memory_limit=10 * GIB),
    ]
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: ["gpu"])
    monkeypatch.setattr(device_lib, "list_local_devices", lambda: devices)
    monkeypatch.setattr(
        tf.config.experimental, "get_memory_info", lambda name: {"current": GIB, "peak": 9 * GIB}
    )
    assert available_memory() == 9 * GIB


def write(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_available_memory_is_the_free_memory_and_what_this_process_can_reuse(tmp_path):
    proc = tmp_path / "proc"
    assert host_bytes(proc, tmp_path / "none") is None
    write(proc, meminfo="MemTotal: 99 kB\nMemAvailable:   8388608 kB\n")
    write(proc / "self", status="Name:\tpython\nVmRSS:\t  524288 kB\n")
    assert host_bytes(proc, tmp_path / "none") == 8 * GIB
    write(proc / "self", status="Name:\tpython\nVmRSS:\t 3145728 kB\n")
    assert host_bytes(proc, tmp_path / "none") == (8 + 3 - 1) * GIB


@pytest.mark.parametrize("version", [1, 2])
def test_the_limit_of_a_container_counts_and_its_file_cache_does_not(tmp_path, version):
    proc, root = tmp_path / "proc", tmp_path / "cgroup"
    write(proc, meminfo="MemAvailable: 8388608 kB\n")
    write(proc / "self", status="VmRSS: 1024 kB\n")
    cache = f"inactive_file {GIB}\nactive_file {GIB}\n"
    if version == 2:
        write(root, memory__max=f"{6 * GIB}\n", memory__current=f"{5 * GIB}\n", memory__stat=cache)
    else:
        write(root / "memory", memory__limit_in_bytes=str(6 * GIB),
              memory__usage_in_bytes=str(5 * GIB), memory__stat=cache)  # fmt: skip
    assert host_bytes(proc, root) == 3 * GIB
    if version == 2:
        write(root, memory__max="max\n")
        assert host_bytes(proc, root) == 8 * GIB


def test_the_memory_of_a_machine_is_that_of_its_container(tmp_path):
    (tmp_path / "meminfo").write_text("MemTotal: 4096 kB\nMemAvailable: 10 kB\n")
    assert installed_bytes(tmp_path, tmp_path) == 4096 * 1024
    (tmp_path / "memory.max").write_text("max\n")
    assert installed_bytes(tmp_path, tmp_path) == 4096 * 1024
    (tmp_path / "memory.max").write_text("1000\n")
    assert installed_bytes(tmp_path, tmp_path) == 1000
    assert installed_bytes(tmp_path / "none", tmp_path) is None
