"""What a training is computed on is said: with a faked list of devices, as here is none."""

import subprocess
from types import SimpleNamespace

import pytest
import tensorflow as tf
import yaml
from tensorflow.python.client import device_lib

from retrieval.experiment.pipeline import embed, train
from retrieval.progress import duration
from retrieval.training import devices
from retrieval.training.callbacks import ExpectedTime, StepCounter
from retrieval.training.devices import GIB, describe_devices, say_devices, unused_gpu

pytestmark = pytest.mark.usefixtures("two_blocks", "module_cache")


def fake_gpus(monkeypatch, *gpus: tuple[str, int, tuple[int, int]]):
    """Let TensorFlow see GPUs of these names, sizes in GiB and compute capabilities."""
    found = {f"/gpu:{n}": gpu for n, gpu in enumerate(gpus)}
    seen = [SimpleNamespace(name=name) for name in found]
    monkeypatch.setattr(
        tf.config, "list_physical_devices", lambda kind=None: seen if kind == "GPU" else []
    )
    monkeypatch.setattr(
        device_lib,
        "list_local_devices",
        lambda: [
            SimpleNamespace(device_type="CPU", memory_limit=1),
            *(SimpleNamespace(device_type="GPU", memory_limit=gpu[1] * GIB) for gpu in gpus),
        ],
    )
    monkeypatch.setattr(
        tf.config.experimental,
        "get_device_details",
        lambda gpu: {"device_name": found[gpu.name][0], "compute_capability": found[gpu.name][2]},
    )


H200, OLD = ("NVIDIA H200", 138, (9, 0)), ("GeForce GTX 1080", 8, (6, 1))


@pytest.fixture
def said(monkeypatch):
    """The lines that were printed."""
    lines = []
    monkeypatch.setattr("tqdm.auto.tqdm.write", lambda line, **_: lines.append(line))
    return lines


@pytest.fixture
def no_gpu(monkeypatch):
    """A machine whose driver and tools know of no GPU."""
    monkeypatch.setattr(devices, "installed_gpus", list)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_without_a_gpu_the_cpu_is_named_and_there_is_no_warning(tiny, said, no_gpu):
    say_devices(tiny)
    (line,) = said
    assert line.startswith("on CPU with ")
    assert "GiB), float32" in line
    assert "mixed bfloat16" in describe_devices(tiny.with_(mixed_precision=True))


@pytest.mark.parametrize(
    ("gpus", "changes", "words", "hints"),
    [
        ([H200], {}, "NVIDIA H200 (138 GiB), float32", ["--mixed-precision"]),
        ([H200], {"mixed_precision": True}, "NVIDIA H200 (138 GiB), mixed float16", []),
        ([H200], {"freeze_backbone": True}, "NVIDIA H200 (138 GiB), float32", []),
        ([OLD], {}, "GeForce GTX 1080 (8 GiB), float32", []),
        ([OLD, OLD], {}, "GeForce GTX 1080 (8 GiB), float32", ["--distribute"]),
        ([OLD, OLD], {"distribute": "mirrored"}, "2 x GeForce GTX 1080 (8 GiB), float32", []),
        ([H200], {"loss": "none"}, "NVIDIA H200 (138 GiB), float32", []),
    ],
)
def test_gpus_are_named_and_what_would_be_faster(
    tiny, said, monkeypatch, gpus, changes, words, hints
):
    fake_gpus(monkeypatch, *gpus)
    settings = tiny.with_(**changes)
    assert describe_devices(settings) == words
    say_devices(settings)
    (line,) = said
    assert line.startswith(f"on {words}")
    for hint in ("--mixed-precision", "--distribute"):
        assert (hint in line) == (hint in hints)


@pytest.mark.parametrize(
    ("hidden", "libraries", "fix"),
    [
        ("-1", False, "CUDA_VISIBLE_DEVICES"),
        ("", True, "CUDA_VISIBLE_DEVICES"),
        ("-1,0", True, "CUDA_VISIBLE_DEVICES"),
        ("1", True, "CUDA_VISIBLE_DEVICES"),  # of one GPU, whose index is 0
        ("0", False, "make install"),  # as a cluster sets it: nothing is hidden
        ("0,1", True, "driver"),
        ("GPU-8932f937", True, "driver"),
        (None, False, "make install"),
        (None, True, "driver"),
    ],
)
def test_a_gpu_that_tensorflow_does_not_see_is_a_warning_with_the_fix(
    tiny, said, no_gpu, monkeypatch, hidden, libraries, fix
):
    monkeypatch.setattr(devices, "installed_gpus", lambda: ["NVIDIA L4"])
    monkeypatch.setattr("importlib.util.find_spec", lambda _: libraries or None)
    if hidden is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    say_devices(tiny)
    assert said[-1].startswith("warning: this machine has a GPU (NVIDIA L4)")
    assert fix in said[-1]
    assert (fix == "CUDA_VISIBLE_DEVICES") == ("CUDA_VISIBLE_DEVICES" in said[-1])
    fake_gpus(monkeypatch, H200)
    assert unused_gpu() is None


def test_the_tool_is_asked_first_and_then_the_driver(monkeypatch, tmp_path):
    (tmp_path / "0000:01:00.0").mkdir()
    monkeypatch.setattr(devices, "DRIVER", tmp_path)
    found = devices.installed_gpus.__wrapped__
    answer = SimpleNamespace(stdout="NVIDIA L4\nNVIDIA L4\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: answer)
    assert found() == ["NVIDIA L4", "NVIDIA L4"]

    def missing(*_, **__):
        raise FileNotFoundError("nvidia-smi")

    monkeypatch.setattr(subprocess, "run", missing)
    assert found() == ["NVIDIA, bus 0000:01:00.0"]
    monkeypatch.setattr(devices, "DRIVER", tmp_path / "none")
    assert found() == []


@pytest.fixture(scope="module")
def trained(tiny, tmp_path_factory):
    settings, runs = tiny.with_(steps=1, freeze_backbone=True), tmp_path_factory.mktemp("runs")
    return train(settings, runs=runs, name="one", evaluate=False, progress=False)


def test_a_run_records_its_device_and_embedding_it_names_one(trained, said, monkeypatch):
    monkeypatch.setattr("retrieval.experiment.pipeline.evaluate_folder", lambda *_, **__: None)
    recorded = yaml.safe_load((trained / "config.yaml").read_text())["provenance"]["device"]
    assert recorded.startswith("CPU with ")
    embed(trained, progress=False)
    assert any(line.startswith("on CPU with ") for line in said)
    again = yaml.safe_load((trained / "config.yaml").read_text())["provenance"]["device"]
    assert again == recorded


def test_the_expected_time_leaves_out_first_steps_and_evaluations(said):
    now = [0.0]
    counter = StepCounter(0, 1000)
    expected = ExpectedTime(counter, 60, clock=lambda: now[0])
    expected.on_train_begin()
    for step, seconds in enumerate([50, 9, 9] + [0.5] * 20):
        if step == 5:  # an evaluation of 100 seconds
            now[0] += 100
            expected.on_epoch_begin(1)
        now[0] += seconds
        counter.step += 1
        expected.on_train_batch_end(step)
    (line,) = said  # after 5 counted steps, 8 in all
    assert "a step takes 0.5 s (120 images/s); the 992 steps left take about 8 min" in line


def test_one_step_left_is_called_the_last(said):
    ExpectedTime(StepCounter(9, 10), 60).on_measured(0.5)
    assert "the last step takes about 0.5 s" in said[-1]


def test_a_training_of_a_few_steps_needs_no_forecast(said):
    counter, now = StepCounter(0, 8), [0.0]
    expected = ExpectedTime(counter, 60, clock=lambda: now[0])
    for step in range(8):
        now[0] += 10
        counter.step += 1
        expected.on_train_batch_end(step)
    assert not said


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0123, "0.012 s"), (30, "30 s"), (95, "2 min"), (5400, "1.5 h"), (200_000, "2.3 days")],
)
def test_times_are_in_words(seconds, words):
    assert duration(seconds) == words
