"""Training with Keras: the ranking model, its data, optimizers, callbacks and checkpoints.

This file imports nothing, so that importing one of its modules does not load all of them.
"""
