"""Stores for the tests of ``retrieval.storage``."""

from tests.object_store import machine, memory_root, s3_root, s3_server

__all__ = ["machine", "memory_root", "s3_root", "s3_server"]
