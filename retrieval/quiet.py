"""Import TensorFlow without the lines that its C++ parts print before logging can be set up."""

import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator

LEVEL = "TF_CPP_MIN_LOG_LEVEL"  # 2: errors only


@contextlib.contextmanager
def hold_back_stderr() -> Iterator[None]:
    """Hold back what native code writes to stderr, and show it only if the block fails.

    Yields:
        Nothing.
    """
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(saved, held.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)


@contextlib.contextmanager
def quiet_import() -> Iterator[None]:
    """Let a block import TensorFlow without the messages of its C++ parts, then and later.

    Errors are still printed. Where TensorFlow is loaded already, or ``TF_CPP_MIN_LOG_LEVEL`` is
    set, what its user chose holds.

    Yields:
        Nothing.
    """
    if "tensorflow" in sys.modules:
        yield
        return
    os.environ.setdefault(LEVEL, "2")
    with hold_back_stderr():
        yield


def import_tensorflow() -> None:
    """Load TensorFlow and let it look for devices, without its messages."""
    os.environ.setdefault(LEVEL, "2")
    with hold_back_stderr():
        import tensorflow as tf

        tf.config.list_physical_devices()
        tf.constant(0)
    tf.get_logger().addFilter(_is_no_retracing)


def _is_no_retracing(record: logging.LogRecord) -> bool:
    """Drop TensorFlow's warning of many graphs: of several trainings, each builds its own."""
    return "triggered tf.function retracing" not in record.getMessage()
