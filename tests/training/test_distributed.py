"""Two replicas train as one: the loss sees the global batch, gradients are not doubled."""

import subprocess
import sys

SCRIPT = """
import keras, numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from retrieval.losses import get_loss
from retrieval.ranking_model import RankingModel

rng = np.random.default_rng(0)
x, y = rng.normal(size=(48, 5)).astype("float32"), np.repeat(np.arange(12), 4).astype("int32")
# Positives of the first replica's anchors lie on the second: only the global batch has pairs.
order = np.arange(48).reshape(4, 3, 4).transpose(0, 2, 1).reshape(-1)

def train(strategy, name):
    with strategy.scope():
        keras.utils.set_random_seed(0)
        inputs = keras.Input((5,))
        model = RankingModel(keras.Model(inputs, keras.layers.Dense(3)(inputs)), get_loss(name))
        model.compile(optimizer=keras.optimizers.SGD(0.05))
        model.optimizer.build(model.network.trainable_variables)
    data = tf.data.Dataset.from_tensor_slices((x[order], y[order])).batch(12)
    losses = [model.fit(data.skip(i).take(1), verbose=0).history["loss"][0] for i in range(4)]
    return np.array(losses), model.network.get_weights()[0]

for name in ("hard_triplet", "semi_hard_triplet"):
    one = train(tf.distribute.get_strategy(), name)
    two = train(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]), name)
    np.testing.assert_allclose(one[0], two[0], rtol=1e-5)
    np.testing.assert_allclose(one[1], two[1], atol=1e-6)
    assert one[0].min() > 0, "the test needs a loss that is not zero"
print("equal")
"""


def test_two_replicas_give_the_losses_and_weights_of_one():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip().endswith("equal"), done.stderr[-2000:]
