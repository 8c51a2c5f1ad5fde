"""Images from disk to batches: decoding, augmentation, test-time views, tf.data.

This file imports nothing, so that reading the test-time views does not load TensorFlow.
"""
