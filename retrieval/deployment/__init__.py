"""Use what was trained: embed, search and index other images.

Nothing is imported here, so that the parts that need no TensorFlow stay light.
"""
