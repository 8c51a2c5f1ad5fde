"""The estimated memory against measured peaks, and the refusal of what does not fit."""

from types import SimpleNamespace

import keras
import pytest
import tensorflow as tf
from tensorflow.python.client import device_lib

from retrieval import TrainSettings, load_catalog
from retrieval.errors import UserError
from retrieval.experiment.pipeline import train
from retrieval.runs.partial import start_partial
from retrieval.settings.recipes import load_recipe
from retrieval.training.memory_check import GIB, available_memory, check_memory, host_bytes
from retrieval.training.memory_estimate import SLOTS, dry_run, estimate_training_memory, peak_bytes
from retrieval.training.optimizers import OPTIMIZERS, build_optimizer

# Peaks of a training step, GiB, as benchmarks/memory.py measured them: batch, chunk, peak.
MEASURED = {
    "inception_v1": ((120, 0, 4.6), (120, 20, 1.0), (20, 0, 1.1)),
    "densenet169": ((60, 0, 10.0), (60, 20, 4.9), (20, 0, 4.6)),
}


def whole(backbone, **changes):
    """Resolved settings of a whole network, batch norms in training mode as when measured."""
    common = {"normalize": True, "freeze_batch_norm": False, "image_size": 224}
    batch = {"classes_per_batch": 20, "samples_per_class": 1}
    return TrainSettings(backbone=backbone, **common | batch | changes)


@pytest.mark.parametrize("backbone", MEASURED)
def test_the_estimate_is_within_a_third_of_the_measured_peak(backbone):
    footprint = dry_run(whole(backbone))
    for batch, chunk, measured in MEASURED[backbone]:
        settings = whole(backbone, classes_per_batch=batch, chunk_size=chunk)
        estimate = footprint.total(settings) / GIB
        assert estimate == pytest.approx(measured, rel=0.35), (batch, chunk)


@pytest.mark.parametrize(
    ("more", "less"),
    [
        ({"classes_per_batch": 21}, {}),
        ({"image_size": 96}, {}),
        ({}, {"chunk_size": 10}),
        ({"chunk_size": 6}, {"chunk_size": 5}),
        ({"memory_batches": 99}, {}),
        ({"optimizer": "adam"}, {"optimizer": "momentum"}),
        ({}, {"freeze_batch_norm": True, "backbone": "mobilenet_v2"}),
    ],
    ids=str,
)
def test_more_to_hold_is_a_larger_estimate(more, less):
    backbone = less.get("backbone", "conv4")
    settings = whole(backbone, image_size=64)
    larger, smaller = settings.with_(**more), settings.with_(**less)
    assert estimate_training_memory(larger) > estimate_training_memory(smaller)


def test_a_chunk_of_the_whole_batch_saves_nothing():
    settings = whole("conv4", image_size=64)
    assert estimate_training_memory(settings) == estimate_training_memory(
        settings.with_(chunk_size=20)
    )


def test_a_tensor_counts_from_where_it_is_made_to_where_it_is_last_read():
    def graph(step):
        return tf.function(step, autograph=False).get_concrete_function(tf.TensorSpec((250,)))

    # Four steps of 1000 bytes, of which two are alive at a time; the view is free.
    chain = graph(lambda x: tf.exp(tf.reshape(tf.exp(tf.exp(tf.exp(x))), (10, 25))))
    assert peak_bytes(chain.outputs) == 2000

    def backward(x):
        a = tf.exp(x)
        b = tf.exp(a)
        tf.exp(b)  # never read: never made
        return tf.exp(b) + a  # a and b are both alive while exp(b) is made; then b is not

    assert peak_bytes(graph(backward).outputs) == 3000


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_says_how_often_it_copies_the_weights(name):
    weights, optimizer = keras.Variable(tf.zeros((10,))), build_optimizer(name, 0.1)
    optimizer.build([weights])
    assert sum(v.shape == (10,) for v in optimizer.variables) == SLOTS[name]


# --- The check before a training


@pytest.fixture
def large(tiny):
    """Settings of a batch just large enough to be checked; 48 images of it take about 0.5 GiB."""
    return tiny.with_(image_size=224, samples_per_class=4, steps=1, eval_every=1)


def available(monkeypatch, gib):
    monkeypatch.setattr(
        "retrieval.training.memory_check.available_memory", lambda: gib and int(gib * GIB)
    )


def test_a_training_that_does_not_fit_is_refused_before_anything_is_written(
    large, tmp_path, monkeypatch
):
    available(monkeypatch, 0.25)
    settings = large.with_(samples_per_class=16)
    with pytest.raises(UserError) as caught:
        train(settings, runs=tmp_path / "runs", progress=False)
    message = str(caught.value)
    assert "\n" not in message
    for part in ("training needs about", "0.2 GiB are available", "--classes-per-batch",
                 "--image-size", "--no-check-memory"):  # fmt: skip
        assert part in message
    assert not (tmp_path / "runs").exists()
    # The chunk size it suggests is one that fits.
    chunk = int(message.split("--chunk-size ")[1].split(",")[0])
    assert 1 <= chunk < 48
    resolved = settings.with_(normalize=True)
    assert estimate_training_memory(resolved.with_(chunk_size=chunk)) < 0.25 * GIB
    assert estimate_training_memory(resolved.with_(chunk_size=chunk + 5)) > 0.25 * GIB


def test_no_chunk_is_suggested_where_none_would_fit(large, monkeypatch):
    available(monkeypatch, 0.001)
    with pytest.raises(UserError, match=r"available: try a smaller --classes-per-batch"):
        check_memory(large.with_(normalize=True))


@pytest.mark.parametrize(
    ("changes", "gib"),
    [
        ({"check_memory": False}, 0.001),
        ({"freeze_backbone": True}, 0.001),
        ({"loss": "none"}, 0.001),
        ({"image_size": 16}, 0.001),  # too small to be looked at
        ({}, 16),
        ({}, None),  # a system that does not say
    ],
    ids=str,
)
def test_what_fits_or_is_not_to_be_checked_goes_on(large, monkeypatch, capsys, changes, gib):
    available(monkeypatch, gib)
    check_memory(large.with_(normalize=True, **changes))
    assert capsys.readouterr().out == ""


def test_a_recipe_says_what_it_needs(monkeypatch, capsys):
    available(monkeypatch, 20)
    settings = load_recipe("cub200/semi_hard_triplet").train_settings()
    check_memory(settings)
    said = capsys.readouterr().out
    assert said.startswith("cub200/semi_hard_triplet needs about 4.")
    assert said.endswith("GiB of memory, 20.0 available\n")
    assert said.count("\n") == 1


def test_not_checking_memory_is_the_same_experiment():
    recipe = load_recipe("cub200/semi_hard_triplet")
    assert recipe.train_settings({"check_memory": False}).scaled is False
    assert recipe.train_settings({"chunk_size": 20}).scaled is True


def test_an_interrupted_run_goes_on_whether_memory_is_checked_or_not(tiny, tmp_path):
    catalog, folder = load_catalog(tiny.dataset, tiny.data), tmp_path / ".run.partial"
    start_partial(folder, tiny, catalog)
    write(folder, history__csv="step,loss\n")
    start_partial(folder, tiny.with_(check_memory=False), catalog)
    assert (folder / "history.csv").exists()
    start_partial(folder, tiny.with_(chunk_size=3), catalog)
    assert not (folder / "history.csv").exists()


def test_on_a_gpu_its_memory_counts(monkeypatch):
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


def test_available_memory_is_what_is_free_and_what_earlier_runs_left_to_this_process(tmp_path):
    proc = tmp_path / "proc"
    assert host_bytes(proc, tmp_path / "none") is None
    write(proc, meminfo="MemTotal: 99 kB\nMemAvailable:   8388608 kB\n")
    write(proc / "self", status="Name:\tpython\nVmRSS:\t  524288 kB\n")
    assert host_bytes(proc, tmp_path / "none") == 8 * GIB
    write(proc / "self", status="Name:\tpython\nVmRSS:\t 3145728 kB\n")
    assert host_bytes(proc, tmp_path / "none") == (8 + 3 - 1) * GIB


@pytest.mark.parametrize("version", [1, 2])
def test_a_container_s_limit_counts_without_its_cache(tmp_path, version):
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
