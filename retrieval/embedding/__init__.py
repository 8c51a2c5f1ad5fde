"""Images to embedding vectors: the network, its cached features, and the pass over images."""
