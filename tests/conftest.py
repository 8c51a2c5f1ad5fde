"""What test files of several folders share."""

import pytest


@pytest.fixture(scope="module")
def module_cache(tmp_path_factory):
    """Keep a module's features and thumbnails away from the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RETRIEVAL_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
