"""Compare our Inception V1 with TF-slim's, on a checkpoint that TF-slim's own network wrote.

Development only: needs ``pip install tf-slim tf-keras`` in addition to this package.

    python -m benchmarks.inception_v1_equality [--size 224]

TF-slim's network is built with TF-slim's ``inception_v1_arg_scope``, given batch statistics
and offsets as uneven as trained ones, saved by ``tf.train.Saver`` in both checkpoint formats (the
published ``inception_v1.ckpt`` has the older), and loaded by our loader. Prints the largest
difference of the Mixed_5c feature maps; above 1e-4 the exit status is 1.
"""

import argparse
import sys
import tempfile
from importlib import import_module
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_slim as slim
from tf_slim.nets import inception_v1 as original

from retrieval.models import inception_v1 as ours
from tests.models.pixels import photos

TOLERANCE = 1e-4
# TF-slim's layers are built on tf-keras modules that have since moved.
for old in ("", ".base", ".convolutional", ".core", ".normalization", ".pooling"):
    sys.modules[f"tf_keras.legacy_tf_layers{old}"] = import_module(
        f"tf_keras.src.legacy_tf_layers{old}"
    )


def as_if_trained(variable, random):
    """Return a value for one of TF-slim's variables; weights keep activations at one scale."""
    shape = variable.shape.as_list()
    if variable.op.name.endswith("moving_variance"):
        return random.uniform(0.1, 3.0, shape)
    if variable.op.name.endswith("weights"):
        return random.standard_normal(shape) * np.sqrt(2 / np.prod(shape[:-1]))
    return random.standard_normal(shape) * 0.3


def slim_checkpoints(images, folder):
    """Run TF-slim's network on random weights; save them in both formats; return its output."""
    v1 = tf.compat.v1
    random = np.random.default_rng(0)
    with tf.Graph().as_default(), v1.Session() as session:
        # The arg scope trains its batch norms; this is the network at test time.
        with (
            slim.arg_scope(original.inception_v1_arg_scope()),
            slim.arg_scope([slim.batch_norm], is_training=False),
        ):
            output, _ = original.inception_v1_base(tf.constant(images / 127.5 - 1, tf.float32))
        for variable in v1.global_variables():
            variable.load(as_if_trained(variable, random).astype(np.float32), session)
        paths = []
        for name, version in (("V1", v1.train.SaverDef.V1), ("V2", v1.train.SaverDef.V2)):
            saver = v1.train.Saver(write_version=version)
            paths.append(Path(saver.save(session, str(folder / name / "inception_v1.ckpt"))))
        return session.run(output), paths


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=224)
    size = parser.parse_args().size
    images = photos(size).astype(np.float32)
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for name in ("V1", "V2"):
            (Path(folder) / name).mkdir()
        expected, paths = slim_checkpoints(images, Path(folder))
        for path in paths:
            network = ours.build(size, str(path))
            difference = np.abs(network.predict(images, verbose=0) - expected).max()
            worst = max(worst, difference)
            print(
                f"{size} px, checkpoint format {path.parent.name}: largest difference "
                f"{difference:.1e} of values up to {np.abs(expected).max():.1f}"
            )
    sys.exit(int(worst > TOLERANCE))


if __name__ == "__main__":
    main()
