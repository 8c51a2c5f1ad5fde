"""Tests of ``retrieval.storage``."""
