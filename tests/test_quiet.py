"""Of TensorFlow's messages, those that are no mistake of the user's are dropped, and no others."""

import logging
import os
import subprocess
import sys

import pytest
import tensorflow as tf

from retrieval.quiet import import_tensorflow


@pytest.fixture
def heard():
    """Messages that TensorFlow's logger lets through."""
    import_tensorflow()
    logger, messages = tf.get_logger(), []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())
    logger.addHandler(handler)
    yield messages
    logger.removeHandler(handler)


def test_a_graph_for_each_of_several_trainings_is_no_mistake(heard):
    traced = tf.function(lambda x: x)
    for n in range(20):
        traced(tf.zeros(n + 1))  # TensorFlow counts and would warn
    assert heard == []


def test_other_warnings_are_heard(heard):
    tf.get_logger().warning("a variable was not restored")
    assert heard == ["a variable was not restored"]


@pytest.mark.slow
def test_python_prints_no_line_of_tensorflow_around_what_a_user_asked_for():
    lines = """
import retrieval
retrieval.RankingModel
from retrieval.quiet import import_tensorflow
import_tensorflow()  # as load_embedder does
import tensorflow as tf
try:
    tf.io.decode_image(b"no image")
except tf.errors.InvalidArgumentError:
    print("refused")
"""
    settings = {name: value for name, value in os.environ.items() if not name.startswith("TF_CPP")}
    done = subprocess.run(
        [sys.executable, "-c", lines], env=settings, capture_output=True, text=True, check=True
    )
    assert done.stdout == "refused\n"
    assert "0000 " not in done.stderr
