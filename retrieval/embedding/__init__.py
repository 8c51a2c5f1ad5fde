"""From images to embeddings: the network, cached features, and the forward pass over images.

This file imports nothing, so that importing one of its modules does not load all of them.
"""
