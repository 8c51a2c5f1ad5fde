"""Training with Keras: the ranking model, its data, callbacks, checkpoints and devices.

This file imports nothing, so that checking settings does not load TensorFlow.
"""
