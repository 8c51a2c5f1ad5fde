"""Of TensorFlow's messages, those that are no mistake of the user's are dropped, and no others."""

import logging

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
