"""Store what TF-slim's own Inception V1 says of the photos, at two image sizes.

Needs tf-slim and tf-keras, which the tests do not:

    pip install tf-slim tf-keras
    python -m tests.models.make_slim_reference

The variables get values made from their names (slim_variables.py), so that the test can make the
same checkpoint. The network computes in double precision.
"""

import sys
from importlib import import_module

import numpy as np
import tensorflow as tf
import tf_slim as slim
from tf_slim.nets import inception_v1

from tests.models.pixels import HERE, photos
from tests.models.slim_variables import slim_variable

SIZES = (128, 105)  # 105: odd all the way down, where padding goes wrong first
# As inception_arg_scope of the TensorFlow models: batch norm without a scale.
NORM = {"is_training": False, "decay": 0.9997, "epsilon": 0.001}
# TF-slim's layers are built on tf-keras modules that have since moved.
for old in ("", ".base", ".convolutional", ".core", ".normalization", ".pooling"):
    sys.modules[f"tf_keras.legacy_tf_layers{old}"] = import_module(
        f"tf_keras.src.legacy_tf_layers{old}"
    )


def main():
    v1 = tf.compat.v1
    reference = {}
    for size in SIZES:
        with tf.Graph().as_default(), v1.Session() as session:
            images = tf.constant(photos(size) / 127.5 - 1, tf.float64)
            with slim.arg_scope(
                [slim.conv2d], normalizer_fn=slim.batch_norm, normalizer_params=NORM
            ):
                maps, _ = inception_v1.inception_v1_base(images)
            variables = v1.global_variables()
            for variable in variables:
                shape = tuple(variable.shape.as_list())
                variable.load(slim_variable(variable.op.name, shape), session)
            features = session.run(maps).mean(axis=(1, 2))
            reference[f"features_{size}"] = features.astype(np.float32)
        reference["names"] = np.array([v.op.name for v in variables])
        reference["shapes"] = np.array([str(v.shape.as_list()) for v in variables])
    np.savez_compressed(HERE / "inception_v1_reference.npz", **reference)


if __name__ == "__main__":
    main()
