"""Runs in object stores: URLs and the folders that stand for them, objects, and manifests.

:mod:`retrieval.storage.objects` is the only module that knows fsspec.
"""
