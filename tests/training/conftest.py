"""Keep the trainings of these tests away from the user's cache."""

import pytest


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """Write features and thumbnails to a temporary folder."""
    monkeypatch.setenv("RETRIEVAL_CACHE", str(tmp_path_factory.mktemp("cache")))
