"""Two replicas train as one: the loss sees the global batch, gradients are not doubled."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow  # what the tests share takes long

# All in one process: TensorFlow takes long to load, and a session has one strategy.
DEVICES = """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
make = tf.distribute.MirroredStrategy
tf.distribute.MirroredStrategy = lambda: make(["CPU:0", "CPU:1"])
"""

EQUAL = """
import keras, numpy as np
from retrieval.losses import get_loss
from retrieval.training.devices import mirrored_strategy
from retrieval.training.model import RankingModel
from retrieval.training.optimizers import build_optimizer

rng = np.random.default_rng(0)
x, y = rng.normal(size=(48, 5)).astype("float32"), np.repeat(np.arange(12), 4).astype("int32")
# Positives of the first replica's anchors lie on the second: only the global batch has pairs.
order = np.arange(48).reshape(4, 3, 4).transpose(0, 2, 1).reshape(-1)

def train(
    strategy, name, memory=None, multipliers=None, freeze_steps=0, clip_norm=None, batch_norm=False
):
    with strategy.scope():
        keras.utils.set_random_seed(0)
        loss = get_loss(name, cross_batch_memory=memory)
        loss.build(12, 3)
        layers = [keras.Input((5,)), keras.layers.Dense(4)]
        layers += [keras.layers.BatchNormalization()] if batch_norm else []
        body = keras.Sequential(layers, name="backbone")
        inputs = keras.Input((5,))
        network = keras.Model(inputs, keras.layers.Dense(3)(body(inputs)))
        model = RankingModel(network, loss, freeze_steps, multipliers)
        model.compile(optimizer=build_optimizer("momentum", 0.02, clip_norm=clip_norm))
        model.optimizer.build(network.trainable_variables + model.loss_weights)
    data = tf.data.Dataset.from_tensor_slices((x[order], y[order])).batch(12)
    losses = []
    note = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda _, logs: losses.append(logs["loss"])
    )
    model.fit(data, verbose=0, shuffle=False, callbacks=[note])
    variables = network.variables + model.loss_weights + model.loss_state
    copies = [strategy.experimental_local_results(v.value) for v in variables]
    return np.array(losses), [[c.numpy() for c in of_replicas] for of_replicas in copies]

for case in (
    {"name": "margin_loss", "clip_norm": 0.3, "freeze_steps": 2},
    {"name": "proxy_anchor", "multipliers": {"loss": 10.0, "backbone": 0.5}},
    # 20 rows: the queue wraps around within the second batch.
    {"name": "contrastive_loss", "memory": {"size": 20, "start": 1}},
):
    (losses, weights), (same, copies) = (
        train(strategy, **case) for strategy in (tf.distribute.get_strategy(), mirrored_strategy())
    )
    np.testing.assert_allclose(same, losses, rtol=1e-5, err_msg=str(case))
    assert losses.min() > 0, "the test needs a loss that is not zero"
    for (wanted,), found in zip(weights, copies, strict=True):
        assert len(found) == 2
        for copy in found:
            np.testing.assert_allclose(copy, wanted, rtol=1e-4, atol=1e-6, err_msg=str(case))
print("equal")

# Moving statistics of a frozen backbone: gamma, beta, mean, variance as they were, on both.
_, copies = train(mirrored_strategy(), "hard_triplet", freeze_steps=9, batch_norm=True)
assert [[c.tolist() for c in of_replicas] for of_replicas in copies][2:6] == [
    [[value] * 4] * 2 for value in (1.0, 0.0, 0.0, 1.0)
]
print("frozen")
"""

# Trainings in one process, of networks and losses with variables of different shapes: one of a
# whole network, the others of a head alone, whose graph takes a fraction of the time to trace.
SESSION = """
import sys
from pathlib import Path
import pandas as pd
import retrieval.models.conv4
from retrieval import TrainSettings, evaluate, load_catalog, train as train_run
from retrieval.errors import UserError
from retrieval.settings.resolve import resolve
from retrieval.training.embed_test_split import embed_test_split
from retrieval.training.fit import fit

retrieval.models.conv4.WIDTHS = (256,)  # one of four blocks: tracing graphs takes the time

settings = TrainSettings(
    dataset="folder", data=sys.argv[1], backbone="conv4", weights="none", image_size=16,
    classes_per_batch=4, samples_per_class=2, eval_every=1, distribute="mirrored",
)
whole = settings.with_(loss="hard_triplet", embedding_size=8, steps=1, eval_split="test")
path = train_run(whole, runs=sys.argv[2], name="whole", evaluate=False, progress=False)
catalog = load_catalog("folder", settings.data)
embeddings, rows = embed_test_split(path, resolve(whole, catalog), catalog, progress=False)
recall = evaluate(embeddings, rows["label"].to_numpy()).metrics["recall@1"]
assert list(pd.read_csv(path / "history.csv")["recall@1"]) == [recall]
print("embeddings", embeddings.shape)
for steps in (1, 2):
    changed = settings.with_(
        loss="proxy_anchor", embedding_size=4, steps=steps, freeze_backbone=True
    )
    folder = Path(sys.argv[2]) / "fitted"
    folder.mkdir(exist_ok=True)
    fit(resolve(changed, catalog), catalog, folder, progress=False)
    print((folder / "history.csv").read_text().count(chr(10)) - 1, "steps")

try:
    train_run(whole.with_(classes_per_batch=3, samples_per_class=3), runs=sys.argv[2], name="odd")
except UserError as error:
    print("refused:", error)
assert not list(Path(sys.argv[2]).glob("folder/*odd*"))
"""


@pytest.fixture(scope="module")
def output(shapes, tmp_path_factory):
    """Return the output of the script, and the end of its error output."""
    command = [sys.executable, "-c", DEVICES + EQUAL + SESSION, str(shapes)]
    command.append(str(tmp_path_factory.mktemp("runs")))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr[-2000:]


def test_two_replicas_give_the_losses_and_weights_of_one(output):
    """Also with a loss that owns weights or state, and with a cross-batch memory."""
    assert "\nequal\n" in f"\n{output}", output


def test_a_frozen_backbone_keeps_its_moving_statistics_on_both_devices(output):
    assert "\nfrozen\n" in output, output


def test_a_run_on_two_devices_embeds_every_item_once(output):
    """In training, after it, and so in the metrics."""
    assert "embeddings (24, 8)" in output, output


def test_several_trainings_on_two_devices_run_in_one_process(output):
    assert "1 steps\n2 steps\n" in output, output


def test_a_batch_that_two_devices_cannot_share_is_refused_before_training(output):
    (refusal,) = [line for line in output.splitlines() if line.startswith("refused: ")]
    for fact in ("3 x 3", "2 devices", "--classes-per-batch", "--samples-per-class"):
        assert fact in refusal
