"""Measure peak memory and time of a training step, for the whole batch at once and in chunks.

    python benchmarks/memory.py [--case inception_v1:120:224] [--chunk 0 20] [--steps 2]

The default cases are those of the published experiments: DenseNet169 with a batch of 60 and
Inception V1 with a batch of 120, at 224 px. Each measurement runs in a process of its own and takes
its peak resident memory (``ru_maxrss``). Images and weights are random, which affects neither
memory nor time. The step is forward pass, semi-hard triplet loss, backward pass and Adam, in one
tf.function; batch normalizations are in training mode.

``benchmarks/results/memory.md`` has the results: a chunked batch takes the memory of a batch of one
chunk.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time

CASES = ("densenet169:60:224", "inception_v1:120:224")


def measure(backbone: str, batch: int, size: str, chunk: int, steps: int) -> dict[str, float]:
    """Return memory in GiB and seconds per step after the first; call it in a new process."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras
    import numpy as np
    import tensorflow as tf

    from retrieval.losses import get_loss
    from retrieval.models import build_model
    from retrieval.training.gradients import chunked_gradients

    keras.utils.set_random_seed(0)
    network = build_model(backbone, image_size=size, weights="none", normalize=True)
    loss, optimizer = get_loss("semi_hard_triplet"), keras.optimizers.Adam(1e-5)
    optimizer.build(network.trainable_variables)
    shape = (batch, *network.input_shape[1:])
    images = tf.constant(np.random.default_rng(0).uniform(0, 255, shape), "uint8")
    labels = tf.constant(np.arange(batch) // 6, tf.int32)

    @tf.function
    def at_once() -> tf.Tensor:
        with tf.GradientTape() as tape:
            value = loss(labels, network(images, training=True))
        variables = network.trainable_variables
        optimizer.apply(tape.gradient(value, variables), variables)
        return value

    @tf.function
    def in_chunks() -> tf.Tensor:
        step = chunked_gradients(network, loss, images, labels, chunk)
        optimizer.apply(step.gradients, network.trainable_variables)
        return step.loss

    step = in_chunks if chunk else at_once
    before = peak()
    float(step())  # traces, and fills the pools of memory
    start = time.perf_counter()
    for _ in range(steps):
        float(step())
    seconds = (time.perf_counter() - start) / steps
    return {"before": before, "peak": peak(), "seconds": seconds}


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--case", action="append", help="backbone:batch:size, e.g. :224 or :256x128"
    )
    parser.add_argument(
        "--chunk",
        type=int,
        nargs="+",
        default=[0, 20],
        help="0 is the whole batch",
    )
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(**json.loads(options.one))))
        return
    print("| backbone, image, batch | chunk | peak GiB | of it the step | seconds per step |")
    print("|---|---|---|---|---|")
    for case in options.case or CASES:
        backbone, batch, size = case.split(":")
        for chunk in options.chunk:
            setting = {"backbone": backbone, "batch": int(batch), "size": size}
            setting |= {"chunk": chunk, "steps": options.steps}
            command = [sys.executable, __file__, "--one", json.dumps(setting)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            label = f"| {backbone}, {size} px, {batch} | {chunk or 'all'} |"
            if done.returncode:
                print(label, f"failed (exit status {done.returncode}) | | |", flush=True)
                continue
            found = json.loads(done.stdout.splitlines()[-1])
            print(
                label,
                f"{found['peak']:.1f} | {found['peak'] - found['before']:.1f} |",
                f"{found['seconds']:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
