"""From image files to batches: decoding, augmentation, test-time views, tf.data.

This file imports nothing, so that checking the names of test-time views does not load TensorFlow.
"""
