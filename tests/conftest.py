"""What test files of several folders share."""

import gc

import pytest


@pytest.fixture(scope="module", autouse=True)
def _collected():
    """Look for garbage among a module's own objects only: graphs of all others are millions."""
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module")
def module_cache(tmp_path_factory):
    """Keep a module's features and thumbnails away from the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RETRIEVAL_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def two_blocks():
    """Leave two of the four blocks of conv4: where networks are trained, graphs take the time."""
    from retrieval.models import conv4

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conv4, "WIDTHS", (8, conv4.WIDTHS[-1]))
        yield
